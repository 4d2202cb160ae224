package health

import (
	"context"
	"fmt"
	"time"
)

// Probe runs the command in the container. It returns soon after ctx is done, having ended the command. An error means
// that the command could not be run at all.
type Probe func(ctx context.Context, command []string) (exitCode int, output string, err error)

// Monitor probes one container until its context is done.
type Monitor struct {
	Config    Config
	StartedAt time.Time
	State     State // to begin with
	Probe     Probe
	Report    func(State) // called after every probe, with the state that followed from it
}

// Run probes until ctx is done.
func (m Monitor) Run(ctx context.Context) {
	timer := time.NewTimer(Wait(m.State, m.Config, m.StartedAt, time.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		result := m.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		m.State = Next(m.State, m.Config, m.StartedAt, result)
		m.Report(m.State)
		timer.Reset(Wait(m.State, m.Config, m.StartedAt, time.Now()))
	}
}

func (m Monitor) probe(ctx context.Context) Result {
	limited, cancel := context.WithTimeout(ctx, m.Config.Timeout)
	defer cancel()
	result := Result{Start: time.Now()}
	code, output, err := m.Probe(limited, m.Config.Command)
	result.End = time.Now()
	switch {
	case limited.Err() != nil:
		result.ExitCode = TimedOut
		result.Output = fmt.Sprintf("Health check exceeded timeout (%v)", m.Config.Timeout)
		if output != "" {
			result.Output += ": " + output
		}
	case err != nil:
		result.ExitCode, result.Output = TimedOut, err.Error()
	default:
		result.ExitCode, result.Output = code, output
	}
	if len(result.Output) > OutputLimit {
		result.Output = result.Output[:OutputLimit]
	}
	return result
}
