package embedded

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/network"
)

// defaultStopTimeout is how long a container has to end before it is killed, unless somebody says otherwise.
const defaultStopTimeout = 10 * time.Second

// lock finds the container and waits for the right to operate on it. The caller unlocks it.
func (e *Engine) lock(ctx context.Context, ref string) (*container.Container, error) {
	c, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	if err := c.Lock(ctx); err != nil {
		return nil, err
	}
	if now, _ := c.Watch(); now.Removed {
		c.Unlock()
		return nil, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
	}
	return c, nil
}

// ContainerStop implements engine.Containers.
func (e *Engine) ContainerStop(ctx context.Context, ref string, opts dockercontainer.StopOptions) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	return e.stopContainer(ctx, c, opts)
}

func (e *Engine) stopContainer(ctx context.Context, c *container.Container, opts dockercontainer.StopOptions) error {
	record := c.Record()
	signal, err := stopSignal(&record, opts.Signal)
	if err != nil {
		return err
	}
	patience, limited := stopPatience(&record, opts.Timeout)
	if limited && patience == 0 {
		signal = syscall.SIGKILL
	}
	active, err := e.end(ctx, c, signal)
	if err != nil || !active {
		return err
	}
	if signal != syscall.SIGKILL && limited {
		if err := e.awaitEnd(ctx, c, patience); err != nil && !errors.Is(err, errStillRuns) {
			return err
		} else if err != nil {
			if _, err := e.end(ctx, c, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	if _, err := c.Await(ctx, ended); err != nil {
		return err
	}
	// Who handles the end holds the lock until it is stored: what is acknowledged here survives.
	if err := c.Lock(ctx); err != nil {
		return err
	}
	c.Unlock()
	record = c.Record()
	e.containerEvent(&record, events.ActionStop)
	return nil
}

func stopSignal(r *container.Record, name string) (syscall.Signal, error) {
	if name == "" {
		name = r.Config.StopSignal
	}
	if name == "" {
		return syscall.SIGTERM, nil
	}
	return container.ParseSignal(name)
}

// stopPatience is how long to wait for the container before it is killed; not limited if it may take as long as it likes.
func stopPatience(r *container.Record, seconds *int) (patience time.Duration, limited bool) {
	if seconds == nil {
		seconds = r.Config.StopTimeout
	}
	switch {
	case seconds == nil:
		return defaultStopTimeout, true
	case *seconds < 0:
		return 0, false
	default:
		return time.Duration(*seconds) * time.Second, true
	}
}

func ended(m container.Moment) bool { return !m.State.Active() }

var errStillRuns = errors.New("it still runs")

// awaitEnd waits for the end of the container's process, but not forever.
func (e *Engine) awaitEnd(ctx context.Context, c *container.Container, patience time.Duration) error {
	limited, cancel := context.WithTimeoutCause(ctx, patience, errStillRuns)
	defer cancel()
	if _, err := c.Await(limited, ended); err != nil {
		return context.Cause(limited)
	}
	return nil
}

// end marks the container as ended by the user, makes way for a container that takes its place, and sends the signal. It
// reports whether there was a process.
func (e *Engine) end(ctx context.Context, c *container.Container, signal syscall.Signal) (bool, error) {
	state, passed, err := e.endAsked(ctx, c)
	if err != nil || !state.Active() {
		return false, err
	}
	if signal != syscall.SIGKILL {
		e.drain(ctx, c, passed)
	}
	if err := c.Lock(context.WithoutCancel(ctx)); err != nil { // what has passed to others is gone: it is finished now
		return false, err
	}
	defer c.Unlock()
	if now := c.State(); !now.Active() || !now.StartedAt.Equal(state.StartedAt) {
		return true, nil // it has ended meanwhile
	}
	return true, e.signal(ctx, c, signal)
}

// endAsked is what happens before the signal.
func (e *Engine) endAsked(ctx context.Context, c *container.Container) (state lifecycle.State, passed network.Handover, err error) {
	if err := c.Lock(ctx); err != nil {
		return state, passed, err
	}
	defer c.Unlock()
	before, state, actions := c.Apply(lifecycle.StopAsked{})
	if err := e.act(ctx, c, actions); err != nil {
		return state, passed, err
	}
	e.busy.note(c.ID, state)
	// The user's will has to be known to the next engine too, if this one does not live to see the end.
	if record := c.Record(); before.Stopped != state.Stopped && !record.Host.RestartPolicy.IsNone() {
		if err := c.Save(); err != nil {
			return state, passed, err
		}
	}
	if state.Active() {
		passed = e.handOver(context.WithoutCancel(ctx), c)
	}
	return state, passed, nil
}

// signal sends the signal to the container's process; one that is paused goes on, so that it can react.
func (e *Engine) signal(ctx context.Context, c *container.Container, signal syscall.Signal) error {
	record := c.Record()
	e.containerEvent(&record, events.ActionKill, "signal", strconv.Itoa(int(signal)))
	err := e.runtime.Signal(ctx, c.ID, signal, false)
	if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
		return nil // it has just ended; finish is under way
	}
	if err == nil && record.State.Phase == lifecycle.Paused {
		return e.resume(ctx, c)
	}
	return err
}

// ContainerRestart implements engine.Containers.
func (e *Engine) ContainerRestart(ctx context.Context, ref string, opts dockercontainer.StopOptions) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	record := c.Record()
	if record.Host.AutoRemove {
		// Its end is not the end of the container this time.
		setAutoRemove(c, false)
	}
	err = e.stopContainer(ctx, c, opts)
	if record.Host.AutoRemove {
		setAutoRemove(c, true)
	}
	if err != nil {
		return err
	}
	if _, err := e.lock(ctx, c.ID); err != nil {
		return err
	}
	defer c.Unlock()
	if err := e.startAsked(ctx, c); err != nil {
		return err
	}
	record = c.Record()
	e.containerEvent(&record, events.ActionRestart)
	return nil
}

func setAutoRemove(c *container.Container, on bool) {
	c.Change(func(r *container.Record) {
		host := *r.Host
		host.AutoRemove = on
		r.Host = &host
	})
}

// ContainerKill implements engine.Containers.
func (e *Engine) ContainerKill(ctx context.Context, ref, name string) error {
	signal := syscall.SIGKILL
	if name != "" {
		var err error
		if signal, err = container.ParseSignal(name); err != nil {
			return err
		}
	}
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	record := c.Record()
	notRunning := engine.Errorf(engine.ErrConflict, "cannot kill container %s: container %s is not running", ref, record.ID)
	if state := record.State; !state.Active() && state.Phase != lifecycle.Restarting {
		return notRunning
	}
	if endsIt, err := meansEnd(&record, signal); err != nil {
		return err
	} else if !endsIt {
		return e.signalOnly(ctx, c, signal, notRunning)
	}
	if _, err := e.end(ctx, c, signal); err != nil || signal != syscall.SIGKILL {
		return err
	}
	_, err = c.Await(ctx, ended)
	return err
}

// meansEnd reports whether who sends the signal wants the container to end for good.
func meansEnd(r *container.Record, signal syscall.Signal) (bool, error) {
	stop, err := stopSignal(r, "")
	return signal == syscall.SIGKILL || signal == stop, err
}

func (e *Engine) signalOnly(ctx context.Context, c *container.Container, signal syscall.Signal, notRunning error) error {
	if err := c.Lock(ctx); err != nil {
		return err
	}
	defer c.Unlock()
	if !c.State().Active() {
		return notRunning
	}
	record := c.Record()
	if err := e.runtime.Signal(ctx, c.ID, signal, false); err != nil {
		return err
	}
	e.containerEvent(&record, events.ActionKill, "signal", strconv.Itoa(int(signal)))
	return nil
}

// ContainerPause implements engine.Containers.
func (e *Engine) ContainerPause(ctx context.Context, ref string) error {
	c, err := e.lock(ctx, ref)
	if err != nil {
		return err
	}
	defer c.Unlock()
	record := c.Record()
	switch record.State.Phase {
	case lifecycle.Running:
	case lifecycle.Paused:
		return engine.Errorf(engine.ErrConflict, "container %s is already paused", record.Name)
	default:
		return engine.Errorf(engine.ErrConflict, "container %s is not running", record.Name)
	}
	e.stopMonitor(c.ID)
	if err := e.runtime.Pause(ctx, c.ID); err != nil {
		e.startMonitor(c)
		return err
	}
	c.Apply(lifecycle.PauseDone{})
	e.containerEvent(&record, events.ActionPause)
	return c.Save()
}

// ContainerUnpause implements engine.Containers.
func (e *Engine) ContainerUnpause(ctx context.Context, ref string) error {
	c, err := e.lock(ctx, ref)
	if err != nil {
		return err
	}
	defer c.Unlock()
	if record := c.Record(); record.State.Phase != lifecycle.Paused {
		return engine.Errorf(engine.ErrConflict, "container %s is not paused", record.Name)
	}
	return e.resume(ctx, c)
}

// resume lets a paused container go on. The caller holds its lock.
func (e *Engine) resume(ctx context.Context, c *container.Container) error {
	if err := e.runtime.Resume(ctx, c.ID); err != nil {
		return err
	}
	c.Apply(lifecycle.ResumeDone{})
	record := c.Record()
	e.containerEvent(&record, events.ActionUnPause)
	e.startMonitor(c)
	return c.Save()
}
