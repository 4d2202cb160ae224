package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// ContainerRemove implements engine.Containers.
func (e *Engine) ContainerRemove(ctx context.Context, ref string, opts dockercontainer.RemoveOptions) error {
	if opts.RemoveLinks {
		return engine.Errorf(engine.ErrUnsupported, "cannot remove the link %s: links are not containers of their own here", ref)
	}
	c, err := e.lock(ctx, ref)
	if err != nil {
		return err
	}
	defer c.Unlock()
	if err := e.endForRemoval(ctx, c, opts.Force); err != nil {
		return err
	}
	if now, _ := c.Watch(); now.Removed {
		return nil // it was one that removes itself
	}
	return e.remove(context.WithoutCancel(ctx), c, opts.RemoveVolumes)
}

// endForRemoval kills the container if that is allowed. The caller holds its lock, and holds it again afterwards.
func (e *Engine) endForRemoval(ctx context.Context, c *container.Container, force bool) error {
	record := c.Record()
	state := record.State
	if !state.Active() && state.Phase != lifecycle.Restarting {
		return nil
	}
	if !force {
		return engine.Errorf(engine.ErrConflict,
			"cannot remove container %s: container is %s: stop the container before removing or force remove", record.Name, state.Phase)
	}
	for c.State().Active() {
		c.Unlock()
		_, err := e.end(ctx, c, syscall.SIGKILL)
		if err == nil {
			_, err = c.Await(ctx, ended)
		}
		// The lock is the caller's to give back, whatever happened.
		if relock := c.Lock(context.WithoutCancel(ctx)); relock != nil {
			return relock
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove removes a container without a process. The caller holds its lock.
func (e *Engine) remove(ctx context.Context, c *container.Container, volumes bool) error {
	_, _, actions := c.Apply(lifecycle.RemoveAsked{})
	if err := e.act(ctx, c, actions); err != nil {
		return err
	}
	record := c.Record()
	e.busy.note(c.ID, record.State)
	if _, inherited := e.inherited.LoadAndDelete(c.ID); inherited {
		if err := e.clear(ctx, c.ID); err != nil {
			return fmt.Errorf("cannot remove container %s: %w", record.Name, err)
		}
	}
	if err := c.Forget(); err != nil {
		c.Apply(lifecycle.RemoveFailed{Error: err.Error()})
		return fmt.Errorf("cannot remove container %s: %w", record.Name, fullDisk(err))
	}
	e.containers.Drop(c)
	e.execs.dropContainer(c.ID)
	e.waiting.fail(c.ID, nil)
	e.pins.release(c.ID)
	// Whoever wrote there while it ran is about to see that it has ended, and may still make a file; so that is waited for. What is
	// left if one of these fails belongs to no record, and the next engine removes it.
	err := errors.Join(e.roots.released(ctx, c.ID), os.RemoveAll(e.dir(c.ID)), os.RemoveAll(e.sharedMemoryDir(c.ID)))
	if volumes {
		err = errors.Join(err, e.removeAnonymous(&record))
	}
	c.MarkRemoved()
	e.containerEvent(&record, events.ActionDestroy)
	if err != nil {
		return fmt.Errorf("cannot remove everything of container %s: %w", record.Name, err)
	}
	return nil
}

// removeAnonymous removes the volumes that were made for the container, unless another one uses them too.
func (e *Engine) removeAnonymous(r *container.Record) error {
	var errs []error
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume || !m.Anonymous {
			continue
		}
		err := e.removeVolume(m.Name)
		if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
			slog.Debug("an anonymous volume stays", "volume", m.Name, "reason", err)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
