package execute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// watcher wakes waits when the engine tells that something happened to a container of the project. It subscribes with
// the first wait, so that plans without waits cost nothing.
type watcher struct {
	engine  engine.System
	project string

	start  sync.Once
	cancel context.CancelFunc
	done   chan struct{} // closed when the stream is over

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every event
	err     error         // why the stream is over
}

func newWatcher(e engine.System, project string) *watcher {
	return &watcher{engine: e, project: project, changed: make(chan struct{})}
}

// subscribe begins to listen. What happens after it returns is not missed.
func (w *watcher) subscribe() {
	w.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.done = cancel, make(chan struct{})
		messages, errs := w.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("label", desired.LabelProject+"="+w.project),
		)})
		go w.listen(messages, errs)
	})
}

func (w *watcher) listen(messages <-chan events.Message, errs <-chan error) {
	defer close(w.done)
	for {
		select {
		case _, open := <-messages:
			if !open {
				messages = nil
				continue
			}
			w.wake(nil)
		case err := <-errs:
			if err == nil {
				err = io.EOF
			}
			w.wake(err)
			return
		}
	}
}

func (w *watcher) wake(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	close(w.changed)
	w.changed = make(chan struct{})
}

// next is closed at the next event.
func (w *watcher) next() (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed, w.err
}

func (w *watcher) close() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// errNotYet is what a look at a container returns while there is nothing to say.
var errNotYet = errors.New("not yet")

// waitFor looks at the container now and after every event, until look has something to say.
func (x *executor) waitFor(ctx context.Context, ref string, look func(container.InspectResponse) error) error {
	x.watcher.subscribe()
	for {
		changed, lost := x.watcher.next()
		c, err := x.engine.ContainerInspect(ctx, ref)
		if err != nil {
			return err
		}
		if err := look(c); !errors.Is(err, errNotYet) {
			return err
		}
		if lost != nil {
			return engine.Errorf(engine.ErrUnavailable, "cannot wait for container %s: the engine's events ended: %v", ref, lost)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (x *executor) waitHealthy(ctx context.Context, op *plan.WaitHealthy) error {
	return x.waitFor(ctx, op.Container, func(c container.InspectResponse) error {
		s := c.State
		switch {
		case s.Restarting: // Running too, in Docker's terms, with the health of its last life
			return errNotYet
		case s.Running && (s.Health == nil || s.Health.Status == container.NoHealthcheck || s.Health.Status == container.Healthy):
			return nil
		case s.Running && s.Health.Status == container.Unhealthy:
			return fmt.Errorf("container %s is unhealthy", op.Subject.Name)
		case s.Running, s.Status == container.StateCreated:
			return errNotYet
		case op.OrExited && s.ExitCode == 0:
			return nil
		}
		return fmt.Errorf("container %s exited (%d)", op.Subject.Name, s.ExitCode)
	})
}

func (x *executor) waitCompleted(ctx context.Context, op *plan.WaitCompleted) error {
	if op.Of != "" {
		x.followHook(ctx, op)
	}
	return x.waitFor(ctx, op.Container, func(c container.InspectResponse) error {
		s := c.State
		if s.Running || s.Restarting || s.Status == container.StateCreated {
			return errNotYet
		}
		if s.ExitCode != 0 && op.Of != "" {
			return fmt.Errorf("%s failed: container %s exited (%d) and is kept", op.Of, op.Subject.Name, s.ExitCode)
		}
		if s.ExitCode != 0 {
			return fmt.Errorf("container %s did not complete successfully: exit %d", op.Subject.Name, s.ExitCode)
		}
		return nil
	})
}
