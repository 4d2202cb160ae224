package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// How long a container without a health check has to run before it counts as up.
const (
	steadyAfter = 500 * time.Millisecond

	// steadyAgainAfter is for one that has crashed before: Docker's own measure of a start that went well.
	steadyAgainAfter = 10 * time.Second
)

// notYet is what a look at a container returns while nothing final can be said.
type notYet struct {
	state string        // of the container, after its name
	again time.Duration // until another look makes sense although nothing happens; 0: never
}

func (n notYet) Error() string { return n.state }

// isWait says that the operation does nothing but wait.
func isWait(op plan.Operation) bool {
	switch op.(type) {
	case *plan.WaitHealthy, *plan.WaitCompleted, *plan.MonitorContainer, *plan.Delay:
		return true
	}
	return false
}

// safetyLook is how long a wait relies on the engine to tell what happens: events can get lost on the way.
const safetyLook = 5 * time.Second

// maxUnanswered is how many looks in a row the engine may leave unanswered before a wait is given up, and unansweredPause how
// long the first is waited for another one; then it is twice as long each time.
const (
	maxUnanswered   = 4
	unansweredPause = 250 * time.Millisecond
)

// waitFor looks at the container now, after every event, when look asks for it and from time to time, until look has something to
// say.
func (x *executor) waitFor(ctx context.Context, op plan.Operation, ref string, look func(container.InspectResponse) error) error {
	x.watcher.subscribe()
	name, last, unanswered := called(op), notYet{state: "is not up yet"}, 0
	for {
		changed := x.watcher.next()
		again := unansweredPause << unanswered
		c, err := x.engine.ContainerInspect(ctx, ref)
		switch {
		case err != nil && ctx.Err() != nil:
			return ended(ctx, name, last)
		case err != nil && lost(op, err) && unanswered+1 < maxUnanswered:
			unanswered++
			changed = nil
		case err != nil:
			return err
		default:
			err = look(c)
			yet, waits := err.(notYet) //nolint:errorlint // look does not wrap it
			if !waits {
				return err
			}
			last, unanswered, again = yet, 0, safetyLook
			if yet.again > 0 {
				again = min(again, yet.again)
			}
		}
		if !sleep(ctx, changed, again) {
			return ended(ctx, name, last)
		}
	}
}

// called is what the user knows the container by that an operation is about: one that is to take another one's place is called
// otherwise until it has it.
func called(op plan.Operation) string { return plan.FinalName(op.Head().Subject.Name) }

// sleep ends with the event, after the time unless it is 0, or with the context; then it is false.
func sleep(ctx context.Context, event <-chan struct{}, d time.Duration) bool {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-event:
	case <-over:
	case <-ctx.Done():
		return false
	}
	return true
}

// ended says why a wait is over that came to nothing. A deadline is a reason to say what was missing; who interrupts knows.
func ended(ctx context.Context, name string, missing notYet) error {
	cause := context.Cause(ctx)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("%w: container %s %s", cause, name, missing.state)
}

// waitHealthy waits for what others need, or only for what the user wants to know.
func (x *executor) waitHealthy(ctx context.Context, op *plan.WaitHealthy) error {
	if len(x.dependents[op.ID]) == 0 && op.OrExited {
		return x.waitUp(ctx, op)
	}
	return x.waitFor(ctx, op, op.Container, func(c container.InspectResponse) error {
		s := c.State
		switch {
		case op.Proof && (s.Restarting || c.RestartCount > 0):
			return fmt.Errorf("container %s exited (%d) before it was healthy", called(op), s.ExitCode)
		case s.Running && withoutHealth(s) && op.IfAny:
			return nil
		case s.Running && withoutHealth(s):
			return noHealthCheck(op.Service, x.neededBy(op))
		case s.Running || s.Status == container.StateCreated:
			return health(ctx, op, s)
		}
		return fmt.Errorf("container %s exited (%d)", called(op), s.ExitCode)
	})
}

// waitUp waits until a container is up: healthy or, without a health check, running for a while; or done with its work.
func (x *executor) waitUp(ctx context.Context, op *plan.WaitHealthy) error {
	ctx, cancel := x.untilFailure(ctx)
	defer cancel()
	var life life
	return x.waitFor(ctx, op, op.Container, func(c container.InspectResponse) error {
		s := c.State
		switch {
		case s.Running && !s.Restarting && withoutHealth(s):
			return life.steady(c, x.hasTouched(op.Subject.Name))
		case s.Running || s.Status == container.StateCreated:
			return health(ctx, op, s)
		case s.ExitCode == 0:
			return nil
		}
		return fmt.Errorf("container %s exited (%d)", called(op), s.ExitCode)
	})
}

func withoutHealth(s *container.State) bool {
	return s.Health == nil || s.Health.Status == container.NoHealthcheck
}

// health is what the health of a container that lives or will live means for a wait.
func health(ctx context.Context, op *plan.WaitHealthy, s *container.State) error {
	switch {
	case s.Restarting: // Running too, in Docker's terms, with the health of its last life
		return notYet{state: fmt.Sprintf("exited (%d) and is restarted again and again", s.ExitCode)}
	case s.Status == container.StateCreated:
		return notYet{state: "has not started"}
	case s.Health.Status == container.Healthy:
		return nil
	case s.Health.Status != container.Unhealthy:
		return notYet{state: "is not healthy yet: no health check has succeeded"}
	}
	if _, patient := ctx.Deadline(); patient && !op.Proof {
		return notYet{state: "is unhealthy"}
	}
	return fmt.Errorf("container %s is unhealthy", called(op))
}

// life is a container's time from a start to the end of its process.
type life struct {
	started string // the engine's mark of it
	seen    time.Time
}

// steady says whether the container has run for long enough. The engine may be on a machine whose clock differs: what this
// run itself has started counts from when it was first seen to run.
func (l *life) steady(c container.InspectResponse, own bool) error {
	now := time.Now()
	if l.started != c.State.StartedAt || l.seen.IsZero() {
		l.started, l.seen = c.State.StartedAt, now
		if at, err := time.Parse(time.RFC3339Nano, l.started); err == nil && !own && at.Before(now) {
			l.seen = at
		}
	}
	long, state := steadyAfter, "has just started"
	if c.RestartCount > 0 {
		long, state = steadyAgainAfter, fmt.Sprintf("was restarted %d times and runs again, but not for long enough", c.RestartCount)
	}
	if left := long - now.Sub(l.seen); left > 0 {
		return notYet{state: state, again: left}
	}
	return nil
}

// noHealthCheck tells what is wrong with waiting for the health of a container that has none.
func noHealthCheck(service string, needed []string) error {
	return engine.Errorf(engine.ErrInvalid, "service %s has no health check, neither in the Compose file nor in its image, but %s on it with condition: service_healthy\n"+
		"  give it a healthcheck, or depend on it with condition: service_started", service, dependOn(needed))
}

func dependOn(services []string) string {
	switch len(services) {
	case 0:
		return "others depend"
	case 1:
		return "service " + services[0] + " depends"
	}
	return "services " + strings.Join(services, ", ") + " depend"
}

// neededBy are the other services whose operations come after the wait.
func (x *executor) neededBy(op *plan.WaitHealthy) []string {
	names := slices.Compact(slices.Sorted(slices.Values(x.dependents[op.ID])))
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == op.Service })
}

// untilFailure ends when an operation has failed: then nothing is won by waiting on.
func (x *executor) untilFailure(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(x.failing, func() { cancel(context.Cause(x.failing)) })
	return ctx, func() { stop(); cancel(nil) }
}

func (x *executor) waitCompleted(ctx context.Context, op *plan.WaitCompleted) error {
	if op.Of != "" {
		x.followHook(ctx, op)
	}
	return x.waitFor(ctx, op, op.Container, func(c container.InspectResponse) error {
		s := c.State
		switch {
		case s.Restarting:
			return notYet{state: fmt.Sprintf("exited (%d) and is restarted again and again", s.ExitCode)}
		case s.Running, s.Status == container.StateCreated:
			return notYet{state: "has not completed yet"}
		case s.ExitCode != 0 && op.Of != "":
			return fmt.Errorf("%s failed: container %s exited (%d) and is kept", op.Of, called(op), s.ExitCode)
		case s.ExitCode != 0:
			return fmt.Errorf("container %s did not complete successfully: exit %d", called(op), s.ExitCode)
		}
		return nil
	})
}
