package embedded

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// takeOver makes the records agree with what really runs, after an engine that may have died at any moment: it adopts
// what runs, handles the ends that nobody saw, removes what is half made, and lets policies start what was meant to run.
func (e *Engine) takeOver(ctx context.Context) error {
	states, err := e.runtime.List(ctx)
	if err != nil {
		return err
	}
	there := map[string]runtime.State{}
	for _, s := range states {
		there[s.ID] = s
	}
	e.removeStrangers(states)
	var active []string
	changed := map[*container.Container]bool{}
	for _, c := range e.containers.All() {
		// Nobody reaches the container before resumeContainer gives the lock back.
		if err := c.Lock(ctx); err != nil {
			return err
		}
		e.inherited.Store(c.ID, true)
		changed[c] = e.reconcile(c, there)
		if c.State().Active() {
			active = append(active, c.ID)
			record := c.Record()
			e.volumeUse.begin(&record)
		}
		e.busy.note(c.ID, c.State())
	}
	if err := e.networks.Adopt(active); err != nil {
		return err
	}
	e.adoptPorts(ctx, active)
	e.removeOrphans()
	e.busy.mu.Lock()
	e.busy.announce()
	e.busy.mu.Unlock()
	close(e.ready)
	e.resumeWork(changed)
	e.followTrails()
	return nil
}

// removeStrangers ends processes that no record knows: their container was being created or removed.
func (e *Engine) removeStrangers(states []runtime.State) {
	for _, s := range states {
		if e.containers.Get(s.ID) == nil {
			e.tidy(func(ctx context.Context) error { return e.clear(ctx, s.ID) })
		}
	}
}

// clear ends and forgets the process that the last engine had begun for the container, in whatever stage it is: a shim
// finishes what it was asked for, even if the engine that asked has died meanwhile.
func (e *Engine) clear(ctx context.Context, id string) error {
	err := e.runtime.Delete(ctx, id)
	if !errors.Is(err, engine.ErrConflict) {
		return unlessMissing(err)
	}
	gone := make(chan struct{})
	e.leftovers.Store(id, gone)
	defer e.leftovers.Delete(id)
	err = e.runtime.Signal(ctx, id, syscall.SIGKILL, true)
	if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
		return unlessMissing(e.runtime.Delete(ctx, id)) // it has just ended
	}
	if err != nil {
		return err
	}
	// One that is paused dies when it goes on; another one does not mind.
	_ = e.runtime.Resume(ctx, id)
	select {
	case <-gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return unlessMissing(e.runtime.Delete(ctx, id))
}

func unlessMissing(err error) error {
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// reconcile brings one record up to date with what is there and reports whether something is left to be stored or
// given back.
func (e *Engine) reconcile(c *container.Container, there map[string]runtime.State) bool {
	s, known := there[c.ID]
	recorded := c.State()
	unseen := runtime.ExitStatus{Code: lifecycle.UnknownExit, At: time.Now(), Unknown: true}
	switch {
	case known && (s.Status == runtime.Running || s.Status == runtime.Paused):
		return adopt(c, recorded, s)
	case known && s.Status == runtime.Stopped:
		if !recorded.Active() && s.StartedAt.After(recorded.StartedAt) && s.StartedAt.After(recorded.FinishedAt) {
			// It was started and ended between two writes of the record.
			c.Apply(lifecycle.Started{At: s.StartedAt.UTC()})
		}
		e.missedEnd(c, s.Exit)
		return true
	case known: // made and never started: the engine died in between
		e.missedEnd(c, unseen)
		return true
	case recorded.Active():
		e.missedEnd(c, unseen)
		return true
	}
	return false
}

// tidy cleans up without anybody waiting for it.
func (e *Engine) tidy(clean func(ctx context.Context) error) {
	e.task(func(ctx context.Context) {
		if err := clean(context.WithoutCancel(ctx)); err != nil {
			slog.Warn("cannot clean up after the last engine", "error", err)
		}
	})
}

// adopt takes over a container that runs.
func adopt(c *container.Container, recorded lifecycle.State, s runtime.State) bool {
	changed := false
	if !recorded.Active() || recorded.Pid != s.Pid {
		c.Apply(lifecycle.Started{Pid: s.Pid, At: s.StartedAt.UTC()})
		changed = true
	}
	paused := s.Status == runtime.Paused
	if paused != (c.State().Phase == lifecycle.Paused) {
		changed = true
		if paused {
			c.Apply(lifecycle.PauseDone{})
		} else {
			c.Apply(lifecycle.ResumeDone{})
		}
	}
	return changed
}

// missedEnd records an end that happened while no engine was there, unless it is recorded already, and tells it. What the
// rules ask for is done by resumeContainer.
func (e *Engine) missedEnd(c *container.Container, status runtime.ExitStatus) {
	before := c.State()
	at := status.At
	if at.IsZero() {
		at = time.Now()
	}
	c.Change(func(r *container.Record) {
		clearRuntime(r)
		endHealth(r)
	})
	_, after, _ := c.Apply(lifecycle.ExitSeen{Code: status.Code, OOM: status.OOMKilled, At: at.UTC()})
	if before.Active() {
		e.dieEvent(c, status.Code, after)
	}
}

// resumeWork does, for all containers side by side, what the last engine would have done next.
func (e *Engine) resumeWork(changed map[*container.Container]bool) {
	e.task(func(ctx context.Context) { e.pushNames(ctx) })
	for c, dirty := range changed {
		e.task(func(ctx context.Context) {
			defer c.Unlock()
			if err := e.resumeContainer(ctx, c, dirty); err != nil {
				slog.Error("cannot resume a container", "container", c.Record().Name, "error", err)
			}
		})
	}
}

func (e *Engine) resumeContainer(ctx context.Context, c *container.Container, dirty bool) error {
	if c.State().Active() {
		e.startMonitor(c)
	}
	var errs []error
	if dirty {
		if !c.State().Active() {
			errs = append(errs, e.clear(ctx, c.ID), e.networks.Release(c.ID))
		}
		errs = append(errs, c.Save())
	}
	_, _, actions := c.Apply(lifecycle.Reopened{At: time.Now().UTC()})
	errs = append(errs, e.act(ctx, c, actions))
	return errors.Join(errs...)
}

// removeOrphans removes the directories of containers that have no record: the engine died while it was making or
// removing them.
func (e *Engine) removeOrphans() {
	entries, err := os.ReadDir(filepath.Join(e.opts.Root, "containers"))
	if err != nil {
		return
	}
	for _, entry := range entries {
		if id := entry.Name(); e.containers.Get(id) == nil {
			e.tidy(func(context.Context) error { return os.RemoveAll(e.dir(id)) })
		}
	}
}
