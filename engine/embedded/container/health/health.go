// Package health decides from the results of probes whether a container is healthy, and when to probe next.
//
// The rules are Docker's. A container begins as "starting". One success makes it healthy; as many failures in a row as
// the configuration allows make it unhealthy. While the start period lasts and nothing has succeeded yet, failures do
// not count and probes come at the start interval.
package health

import (
	"time"

	"github.com/docker/docker/api/types/container"
)

// Docker's defaults for what a health check leaves open.
const (
	DefaultInterval      = 30 * time.Second
	DefaultTimeout       = 30 * time.Second
	DefaultStartInterval = 5 * time.Second
	DefaultRetries       = 3
)

// LogLength is how many results are kept, OutputLimit how many bytes of each probe's output.
const (
	LogLength   = 5
	OutputLimit = 4096
)

// TimedOut is the exit code of a probe that took too long or could not be run.
const TimedOut = -1

// Result is what one probe found.
type Result = container.HealthcheckResult

// Config is a health check with every default filled in.
type Config struct {
	Command       []string // to be executed in the container
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// ConfigOf reads the container's health check. It reports false if there is none. shell is what runs a CMD-SHELL
// test; empty means /bin/sh -c.
func ConfigOf(h *container.HealthConfig, shell []string) (Config, bool) {
	command := commandOf(h, shell)
	if command == nil {
		return Config{}, false
	}
	return Config{
		Command:       command,
		Interval:      orDefault(h.Interval, DefaultInterval),
		Timeout:       orDefault(h.Timeout, DefaultTimeout),
		StartPeriod:   h.StartPeriod,
		StartInterval: orDefault(h.StartInterval, DefaultStartInterval),
		Retries:       orDefault(h.Retries, DefaultRetries),
	}, true
}

func commandOf(h *container.HealthConfig, shell []string) []string {
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	switch h.Test[0] {
	case "CMD":
		return h.Test[1:]
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		return append(append([]string{}, shell...), h.Test[1:]...)
	default:
		return nil
	}
}

func orDefault[T int | time.Duration](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// State is a container's health. It is a value: Next returns a new one and leaves the old one as it was.
type State struct {
	Status        string // container.Starting, Healthy or Unhealthy
	FailingStreak int
	Log           []*Result // the latest results, oldest first
}

// Starting is the health of a container that has just been started.
func Starting() State { return State{Status: container.Starting} }

// Next is the health after a probe. startedAt is when the container was.
func Next(s State, cfg Config, startedAt time.Time, r Result) State {
	s.Log = appendResult(s.Log, r)
	if r.ExitCode == 0 {
		s.Status, s.FailingStreak = container.Healthy, 0
		return s
	}
	if s.Status == container.Starting && inStartPeriod(cfg, startedAt, r.Start) {
		return s
	}
	s.FailingStreak++
	if s.FailingStreak >= cfg.Retries {
		s.Status = container.Unhealthy
	}
	return s
}

// Wait is how long after the end of a probe, or after the start, the next probe begins.
func Wait(s State, cfg Config, startedAt, now time.Time) time.Duration {
	if s.Status == container.Starting && inStartPeriod(cfg, startedAt, now) {
		return cfg.StartInterval
	}
	return cfg.Interval
}

func inStartPeriod(cfg Config, startedAt, at time.Time) bool {
	return at.Sub(startedAt) < cfg.StartPeriod
}

func appendResult(log []*Result, r Result) []*Result {
	keep := log[max(0, len(log)+1-LogLength):]
	return append(append(make([]*Result, 0, LogLength), keep...), &r)
}
