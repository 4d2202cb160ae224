package embedded

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// onEvent is told by the runtime what happens to processes. It must not wait for anything.
func (e *Engine) onEvent(event runtime.Event) {
	switch event.Kind {
	case runtime.Exited:
		e.task(func(ctx context.Context) { e.exited(ctx, event) })
	case runtime.ExecExited:
		e.task(func(ctx context.Context) { e.execExited(event) })
	case runtime.OOM:
		e.task(func(ctx context.Context) {
			if c := e.known(ctx, event.ID); c != nil {
				record := c.Record()
				e.containerEvent(&record, events.ActionOOM)
			}
		})
	}
}

// known returns the container with that ID, once the engine has taken over what was there; nil if it is none of ours.
func (e *Engine) known(ctx context.Context, id string) *container.Container {
	select {
	case <-e.ready:
		return e.containers.Get(id)
	case <-ctx.Done():
		return nil
	}
}

func (e *Engine) exited(ctx context.Context, event runtime.Event) {
	c := e.known(ctx, event.ID)
	if gone, clearing := e.leftovers.LoadAndDelete(event.ID); clearing {
		close(gone.(chan struct{}))
		return
	}
	if c == nil || c.Lock(ctx) != nil {
		return
	}
	defer c.Unlock()
	if err := e.finish(ctx, c, event.Status); err != nil {
		slog.Error("cannot clean up after a container", "container", c.Record().Name, "error", err)
	}
}

// finish handles the end of the container's process: it gives back what the process needed, tells everybody, and does
// what the container's rules ask for. Who waits for the end is woken when ports, addresses and names are free again. The
// caller holds the container's lock. The end of an earlier process is ignored.
func (e *Engine) finish(ctx context.Context, c *container.Container, status runtime.ExitStatus) error {
	before := c.State()
	if !before.Active() || status.At.Before(before.StartedAt) {
		return nil
	}
	e.stopMonitor(c.ID)
	running := c.Record()
	if !running.Host.RestartPolicy.IsNone() {
		e.migration.announce()
	}
	passed := e.passPorts(ctx, c)
	err := errors.Join(e.giveBack(ctx, c.ID), e.releaseVolumes(&running))
	e.settlePorts(ctx, passed.Ports) // what could not pass before has done so now
	if hasUserNetwork(&running) {
		e.pushNames(ctx)
	}
	c.Change(func(r *container.Record) {
		clearRuntime(r)
		endHealth(r)
	})
	_, after, actions := c.Apply(lifecycle.ExitSeen{Code: status.Code, OOM: status.OOMKilled, At: status.At.UTC()})
	record := c.Record()
	e.dieEvent(c, status.Code, after)
	e.endpointEvents(&record, events.ActionDisconnect)
	e.busy.note(c.ID, after)
	return errors.Join(err, c.Save(), e.act(ctx, c, actions))
}

func (e *Engine) dieEvent(c *container.Container, code int, ended lifecycle.State) {
	record := c.Record()
	e.containerEvent(&record, events.ActionDie, "exitCode", strconv.Itoa(code),
		"execDuration", strconv.Itoa(int(ended.FinishedAt.Sub(ended.StartedAt)/time.Second)))
}

// giveBack returns what a process needed beyond its files.
func (e *Engine) giveBack(ctx context.Context, id string) error {
	return errors.Join(unlessMissing(e.runtime.Delete(ctx, id)), e.networks.Release(id))
}

func (e *Engine) pushNames(ctx context.Context) {
	if err := e.names.push(ctx); err != nil && ctx.Err() == nil {
		slog.Error("cannot tell the name servers what changed", "error", err)
	}
}

// act does what the state machine asked for. The caller holds the container's lock.
func (e *Engine) act(ctx context.Context, c *container.Container, actions []lifecycle.Action) error {
	var errs []error
	for _, action := range actions {
		switch action := action.(type) {
		case lifecycle.Launch:
			errs = append(errs, e.launch(ctx, c))
		case lifecycle.RestartAfter:
			errs = append(errs, e.restartAfter(ctx, c, action.Delay))
		case lifecycle.CancelRestart:
			e.restarts.cancel(c.ID)
		case lifecycle.Remove:
			errs = append(errs, e.remove(ctx, c, c.Record().Host.AutoRemove))
		}
	}
	return errors.Join(errs...)
}

// restartAfter starts the container when the back-off is over, which may be now.
func (e *Engine) restartAfter(ctx context.Context, c *container.Container, delay time.Duration) error {
	if delay == 0 {
		return e.restartDue(ctx, c)
	}
	cancelled := e.restarts.begin(c.ID)
	e.task(func(ctx context.Context) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-cancelled:
			return
		case <-ctx.Done():
			return
		}
		if c.Lock(ctx) != nil {
			return
		}
		defer c.Unlock()
		select {
		case <-cancelled:
			return
		default:
		}
		if err := e.restartDue(ctx, c); err != nil {
			slog.Error("cannot restart a container", "container", c.Record().Name, "error", err)
		}
	})
	return nil
}

func (e *Engine) restartDue(ctx context.Context, c *container.Container) error {
	_, _, actions := c.Apply(lifecycle.RestartDue{})
	return e.act(ctx, c, actions)
}

// restartTable knows the back-offs that are under way.
type restartTable struct {
	mu  sync.Mutex
	all map[string]chan struct{} // closed to cancel
}

func (t *restartTable) begin(id string) <-chan struct{} {
	t.cancel(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string]chan struct{}{}
	}
	t.all[id] = make(chan struct{})
	return t.all[id]
}

func (t *restartTable) cancel(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pending, ok := t.all[id]; ok {
		close(pending)
		delete(t.all, id)
	}
}
