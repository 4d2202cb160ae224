package execute

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/internal/dag"
)

// outcomes are what gates ask about the operations before them.
type outcomes struct {
	succeeded map[string]bool
	passed    map[string]int // how many failures a gate has let pass
}

// gate is passed when no more of its operations have failed than may. What was skipped has failed, too. The failures
// themselves are told already.
func (x *executor) gate(op *plan.Gate) error {
	if len(op.Of) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	failed, first := 0, ""
	for _, id := range op.Of {
		if n, isGate := x.outcomes.passed[id]; isGate {
			failed += n
			continue
		}
		if !x.outcomes.succeeded[id] {
			failed++
			first = id
		}
	}
	x.outcomes.passed[op.ID] = failed
	if failed > op.MayFail {
		return &dag.SkippedError{Cause: first}
	}
	return nil
}

// succeed remembers that an operation succeeded.
func (x *executor) succeed(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcomes.succeeded[id] = true
}

// monitor watches a container that has just started, for the time.
func (x *executor) monitor(ctx context.Context, op *plan.MonitorContainer) error {
	end, started := time.Now().Add(op.For), ""
	return x.waitFor(ctx, op, op.Container, func(c container.InspectResponse) error {
		s, name := c.State, called(op)
		switch {
		case !s.Running || s.Restarting:
			return fmt.Errorf("container %s exited (%d) within %s of its start", name, s.ExitCode, op.For)
		case started != "" && started != s.StartedAt:
			return fmt.Errorf("container %s exited within %s of its start and was started again", name, op.For)
		case s.Health != nil && s.Health.Status == container.Unhealthy:
			return fmt.Errorf("container %s became unhealthy within %s of its start", name, op.For)
		}
		started = s.StartedAt
		if left := time.Until(end); left > 0 {
			return notYet{state: "is watched", again: left}
		}
		return nil
	})
}

// delay lets time pass.
func (x *executor) delay(ctx context.Context, op *plan.Delay) error {
	if !sleep(ctx, nil, op.For) {
		return context.Cause(ctx)
	}
	return nil
}
