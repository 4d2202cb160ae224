package health

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
)

func TestConfigOf(t *testing.T) {
	for _, test := range []struct {
		name  string
		check *container.HealthConfig
		shell []string
		want  []string // nil: no check
	}{
		{"none given", nil, nil, nil},
		{"inherited and empty", &container.HealthConfig{}, nil, nil},
		{"switched off", &container.HealthConfig{Test: []string{"NONE"}}, nil, nil},
		{"command", &container.HealthConfig{Test: []string{"CMD", "test", "-f", "/x"}}, nil, []string{"test", "-f", "/x"}},
		{"shell", &container.HealthConfig{Test: []string{"CMD-SHELL", "test -f /x"}}, nil, []string{"/bin/sh", "-c", "test -f /x"}},
		{"the image's shell", &container.HealthConfig{Test: []string{"CMD-SHELL", "x"}}, []string{"/bin/bash", "-c"}, []string{"/bin/bash", "-c", "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, ok := ConfigOf(test.check, test.shell)
			if ok != (test.want != nil) || !reflect.DeepEqual(cfg.Command, test.want) {
				t.Errorf("got %q, %t, want %q", cfg.Command, ok, test.want)
			}
			if ok && (cfg.Interval != DefaultInterval || cfg.Retries != DefaultRetries || cfg.Timeout != DefaultTimeout) {
				t.Errorf("defaults are not filled in: %+v", cfg)
			}
		})
	}
}

var ordinary = Config{Interval: 10 * time.Second, Timeout: time.Second, StartPeriod: time.Minute, StartInterval: 2 * time.Second, Retries: 3}

func TestNext(t *testing.T) {
	epoch := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		before State
		code   int
		after  time.Duration
		status string
		streak int
	}{
		{"the first success makes it healthy", Starting(), 0, time.Second, container.Healthy, 0},
		{"failures in the start period do not count", Starting(), 1, time.Second, container.Starting, 0},
		{"the first failure after it counts", Starting(), 1, time.Minute, container.Starting, 1},
		{"retries are granted", State{Status: container.Healthy, FailingStreak: 1}, 1, time.Hour, container.Healthy, 2},
		{"the last retry is the last", State{Status: container.Healthy, FailingStreak: 2}, 1, time.Hour, container.Unhealthy, 3},
		{"a healthy one has no start period any more", State{Status: container.Healthy}, 1, time.Second, container.Healthy, 1},
		{"recovery", State{Status: container.Unhealthy, FailingStreak: 9}, 0, time.Hour, container.Healthy, 0},
		{"a probe that cannot run fails", State{Status: container.Healthy, FailingStreak: 2}, TimedOut, time.Hour, container.Unhealthy, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Next(test.before, ordinary, epoch, Result{Start: epoch.Add(test.after), ExitCode: test.code})
			if s.Status != test.status || s.FailingStreak != test.streak {
				t.Errorf("got %s with streak %d, want %s with %d", s.Status, s.FailingStreak, test.status, test.streak)
			}
		})
	}
}

func TestLogKeepsTheLatest(t *testing.T) {
	s := Starting()
	for i := range 8 {
		earlier := s
		s = Next(s, ordinary, time.Time{}, Result{ExitCode: i})
		if len(earlier.Log) > 0 && earlier.Log[0].ExitCode == s.Log[len(s.Log)-1].ExitCode {
			t.Fatal("the earlier state changed")
		}
	}
	var codes []int
	for _, r := range s.Log {
		codes = append(codes, r.ExitCode)
	}
	if want := []int{3, 4, 5, 6, 7}; !reflect.DeepEqual(codes, want) {
		t.Errorf("log has %v, want %v", codes, want)
	}
}

func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		cfg := ordinary
		cfg.Command = []string{"probe"}
		var probes []time.Duration
		var states []string
		outcomes := []int{1, 1, 0, 1, 1, 1, 0}
		Monitor{
			Config: cfg, StartedAt: start, State: Starting(),
			Probe: func(_ context.Context, command []string) (int, string, error) {
				if command[0] != "probe" {
					t.Errorf("probed with %q", command)
				}
				probes = append(probes, time.Since(start))
				return outcomes[len(probes)-1], "", nil
			},
			Report: func(s State) {
				states = append(states, s.Status)
				if len(states) == len(outcomes) {
					cancel()
				}
			},
		}.Run(ctx)

		const s = time.Second
		if want := []time.Duration{2 * s, 4 * s, 6 * s, 16 * s, 26 * s, 36 * s, 46 * s}; !reflect.DeepEqual(probes, want) {
			t.Errorf("probed at %v, want %v", probes, want)
		}
		if got, want := strings.Join(states, " "), "starting starting healthy healthy healthy unhealthy healthy"; got != want {
			t.Errorf("states %s, want %s", got, want)
		}
	})
}

func TestMonitorLimitsProbes(t *testing.T) {
	for _, test := range []struct {
		name   string
		probe  Probe
		output string
	}{
		{"too slow", func(ctx context.Context, _ []string) (int, string, error) { <-ctx.Done(); return 0, "", ctx.Err() }, "exceeded timeout (1s)"},
		{"cannot run", func(context.Context, []string) (int, string, error) { return 0, "", errors.New("no such file") }, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var last *Result
				Monitor{Config: ordinary, StartedAt: time.Now(), State: Starting(), Probe: test.probe, Report: func(s State) {
					last = s.Log[0]
					cancel()
				}}.Run(ctx)
				if last.ExitCode != TimedOut || !strings.Contains(last.Output, test.output) {
					t.Errorf("got %+v", last)
				}
			})
		})
	}
}
