package embedded

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"sync"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// CompareFiles implements engine.Syncs.
func (e *Engine) CompareFiles(ctx context.Context, ref string, wanted []engine.FileState) ([]int, error) {
	r, err := e.reach(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	differ, err := files.Compare(ctx, r.root, wanted)
	return differ, r.close(ctx, err)
}

// SyncFiles implements engine.Syncs.
func (e *Engine) SyncFiles(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	r, err := e.reach(ctx, ref, true)
	if err != nil {
		return err
	}
	done, err := e.syncing.take(ctx, r.record.ID)
	if err != nil {
		return r.close(ctx, err)
	}
	defer done()
	owner, err := r.owner()
	if err == nil {
		err = files.Sync(ctx, r.root, content, files.SyncOptions{SyncOptions: opts, Owner: owner, Temporary: ".stack-sync-" + r.record.ID[:12]})
	}
	return r.close(ctx, err)
}

// reach is a container's whole file system. A container that does not run is locked meanwhile, since its file system can be
// mounted once only; one that runs may end and start again, and what is open here is the file system that it had.
type reach struct {
	engine    *Engine
	ctx       context.Context
	container *container.Container
	record    container.Record
	writes    bool
	process   *os.File            // the root of its process, if it has one
	parts     map[string]*os.File // else the roots that are open, by where they are mounted
}

// reach opens the container's file system.
func (e *Engine) reach(ctx context.Context, ref string, writes bool) (*reach, error) {
	c, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	if err := c.Lock(ctx); err != nil {
		return nil, err
	}
	r := &reach{engine: e, ctx: ctx, container: c, record: c.Record(), writes: writes}
	if !r.record.State.Active() {
		r.parts = map[string]*os.File{}
		return r, nil
	}
	defer c.Unlock()
	r.process, err = files.ProcessRoot(r.record.State.Pid)
	if err != nil {
		return nil, r.ended(err)
	}
	return r, nil
}

// root implements files.Roots.
func (r *reach) root(name string) (*os.File, string, error) {
	if r.process != nil {
		return r.process, name, nil
	}
	clean := path.Clean("/" + name)
	m := mountAt(&r.record, clean)
	if r.writes && (m.ReadOnly || m.Destination == "" && r.record.Host.ReadonlyRootfs) {
		return nil, "", engine.Errorf(engine.ErrForbidden, "cannot write to %s: it is read-only in container %s", clean, r.record.Name)
	}
	inside := view{prefix: m.Destination}.inside(clean)
	if open := r.parts[m.Destination]; open != nil {
		return open, inside, nil
	}
	open, _, err := r.engine.stoppedRoot(r.ctx, &r.record, clean)
	if err != nil {
		return nil, "", err
	}
	r.parts[m.Destination] = open
	return open, inside, nil
}

// owner is who owns what is written, if not the archive says so.
func (r *reach) owner() (*files.Owner, error) {
	if r.record.Config.User == "" {
		return nil, nil
	}
	root := r.process
	if root == nil {
		reads := *r
		reads.writes = false
		var err error
		if root, _, err = reads.root("/"); err != nil {
			return nil, err
		}
	}
	return owner(root, r.record.Config.User)
}

// close closes what is open and returns the error of what was done. Files that went into a file system which the container
// no longer has are lost.
func (r *reach) close(ctx context.Context, err error) error {
	if r.process != nil {
		now := r.container.State()
		if gone := now.Pid != r.record.State.Pid || !now.StartedAt.Equal(r.record.State.StartedAt); gone && ctx.Err() == nil {
			err = r.ended(err)
		}
		return errors.Join(err, r.process.Close())
	}
	for _, part := range r.parts {
		err = errors.Join(err, part.Close())
	}
	r.container.Unlock()
	return err
}

func (r *reach) ended(err error) error {
	const text = "cannot reach the files of container %s: it ended, or was started again, meanwhile"
	if err == nil {
		return engine.Errorf(engine.ErrConflict, text, r.record.Name)
	}
	return engine.Errorf(engine.ErrConflict, text+": %w", r.record.Name, err)
}

// turns lets one at a time do something to a container.
type turns struct {
	mu   sync.Mutex
	byID map[string]*turn
}

type turn struct {
	taken chan struct{} // holds a token while somebody has the turn
	users int           // who have it or wait for it
}

// take waits for the turn; the caller calls done at the end.
func (t *turns) take(ctx context.Context, id string) (done func(), err error) {
	t.mu.Lock()
	if t.byID == nil {
		t.byID = map[string]*turn{}
	}
	own := t.byID[id]
	if own == nil {
		own = &turn{taken: make(chan struct{}, 1)}
		t.byID[id] = own
	}
	own.users++
	t.mu.Unlock()
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; t.leave(id, own) }, nil
	case <-ctx.Done():
		t.leave(id, own)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(id string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.byID, id)
	}
}
