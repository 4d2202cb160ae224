package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// purpose is what a container's files are reached for.
type purpose int

const (
	toLook purpose = iota // to read; nothing waits for the end of it
	toSync                // to write, where the container's own processes may
	toFill                // to write, before the first start also to a root that is read-only: configs and secrets come that way
)

// reach is a container's whole file system. A container that does not run is locked meanwhile, since its file system can be
// mounted once only. One that runs may end; if something is written it does not start again before what is open here is closed.
type reach struct {
	container *container.Container
	record    container.Record
	running   bool
	root      *os.File
	tree      *files.Tree     // of a container that does not run
	wanted    <-chan struct{} // closed when somebody waits for the end of it
	release   func()
}

// reach opens the container's file system.
func (e *Engine) reach(ctx context.Context, ref string, why purpose) (*reach, error) {
	c, err := e.lock(ctx, ref)
	if err != nil {
		return nil, err
	}
	r := &reach{container: c, record: c.Record(), release: c.Unlock}
	if r.running = r.record.State.Active(); r.running {
		defer c.Unlock()
		return r, r.openProcess(e, why)
	}
	readOnly := r.record.Host.ReadonlyRootfs && (why == toSync || why == toFill && !r.record.State.StartedAt.IsZero())
	if r.tree, err = e.stoppedTree(ctx, &r.record, readOnly); err != nil {
		c.Unlock()
		return nil, err
	}
	r.root, r.wanted = r.tree.Root, c.Wanted()
	return r, nil
}

func (r *reach) openProcess(e *Engine, why purpose) (err error) {
	r.root, err = e.processRoot(r.container.ID)
	switch {
	case errors.Is(err, engine.ErrConflict), errors.Is(err, engine.ErrNotFound), errors.Is(err, unix.ENOENT):
		return r.ended(err)
	case err != nil:
		return fmt.Errorf("cannot reach the files of container %s: %w", r.record.Name, err)
	}
	r.release = func() {}
	if why != toLook {
		r.wanted, r.release = e.roots.use(r.container.ID)
	}
	return nil
}

// attend sees to it that the client keeps nobody waiting who needs the container: one that stalls is given up, and the next run of
// a container does not wait for what was begun in the last one. The caller calls stop in the end.
func (r *reach) attend(c *client) (stop func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-r.wanted:
			if r.running {
				c.end(r.ended(nil))
			} else {
				c.hurry()
			}
		}
	}()
	return func() { close(done) }
}

// owner is who owns what is written, if not the archive says so.
func (r *reach) owner() (*files.Owner, error) {
	if r.record.Config.User == "" {
		return nil, nil
	}
	return owner(r.root, r.record.Config.User)
}

// fixed are the paths at or below which the container has something mounted when it runs.
func (r *reach) fixed() map[string]bool {
	mounts := slices.Collect(maps.Keys(r.record.Host.Tmpfs))
	for _, m := range r.record.Mounts {
		mounts = append(mounts, m.Destination)
	}
	return engine.FixedPaths(mounts)
}

// whileItRuns is a context that ends with the run of the container that was found.
func (r *reach) whileItRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if r.running {
		go func() {
			_, _ = r.container.Await(ctx, func(container.Moment) bool { return r.over() })
			cancel()
		}()
	}
	return ctx, cancel
}

// over reports whether the run of the container that was found is over.
func (r *reach) over() bool {
	now := r.container.State()
	return !now.Active() || !now.StartedAt.Equal(r.record.State.StartedAt)
}

// close closes what is open and returns the error of what was done. Files that were synced into a file system which the container
// no longer has may be lost.
func (r *reach) close(ctx context.Context, err error) error {
	if r.running && r.over() && ctx.Err() == nil {
		err = r.ended(err)
	}
	return errors.Join(err, r.Close())
}

// Close closes what is open.
func (r *reach) Close() error {
	defer r.release()
	if r.tree != nil {
		return r.tree.Close()
	}
	return r.root.Close()
}

func (r *reach) ended(err error) error {
	const text = "cannot reach the files of container %s: it has ended"
	if err == nil || errors.Is(err, context.Canceled) {
		return engine.Errorf(engine.ErrConflict, text, r.record.Name)
	}
	return engine.Errorf(engine.ErrConflict, text+": %w", r.record.Name, err)
}
