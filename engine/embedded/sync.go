package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// CompareFiles implements engine.Syncs.
func (e *Engine) CompareFiles(ctx context.Context, ref string, wanted []engine.FileState) ([]int, error) {
	r, err := e.reach(ctx, ref)
	if err != nil {
		return nil, err
	}
	running, cancel := r.whileItRuns(ctx)
	defer cancel()
	differ, err := files.Compare(running, r.root, wanted)
	return differ, r.close(ctx, err)
}

// SyncFiles implements engine.Syncs.
func (e *Engine) SyncFiles(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	done, err := e.syncing.take(ctx, c.ID)
	if err != nil {
		return err
	}
	defer done()
	r, err := e.reach(ctx, c.ID)
	if err != nil {
		return err
	}
	owner, err := r.owner()
	if err == nil {
		running, cancel := r.whileItRuns(ctx)
		defer cancel()
		err = files.Sync(running, r.root, abandonable(running, content),
			files.SyncOptions{SyncOptions: opts, Owner: owner, Fixed: r.fixed(), Temporary: ".stack-sync-" + c.ID[:12]})
	}
	return r.close(ctx, err)
}

// silence is how long nothing may come of a tar. Meanwhile others who sync to the container wait and, if it does not run, also
// those who want to start or remove it.
const silence = time.Minute

// abandonable makes reading end with the context, or when nothing comes any more (ErrUnavailable), whatever the one who sends is
// waiting for.
func abandonable(ctx context.Context, content io.Reader) io.Reader {
	reader, writer := io.Pipe()
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	silent := time.AfterFunc(silence, func() {
		writer.CloseWithError(engine.Errorf(engine.ErrUnavailable, "cannot sync files: nothing has come of the archive for %v", silence))
	})
	go func() {
		defer stop()
		_, err := io.CopyBuffer(writer, timed{content, silent}, make([]byte, 64<<10))
		writer.CloseWithError(err)
	}()
	return reader
}

// timed has a timer run while it waits for what it reads.
type timed struct {
	from  io.Reader
	timer *time.Timer
}

func (t timed) Read(p []byte) (int, error) {
	t.timer.Reset(silence)
	defer t.timer.Stop()
	return t.from.Read(p)
}

// reach is a container's whole file system. A container that does not run is locked meanwhile, since its file system can be
// mounted once only. One that runs may end; it does not start again before what is open here is closed.
type reach struct {
	engine    *Engine
	ctx       context.Context
	container *container.Container
	record    container.Record
	process   *os.File // the root of its process, if it has one
	release   func()

	mu    sync.Mutex          // guards parts
	parts map[string]*os.File // without a process: the roots that are open, by where they are mounted
}

// reach opens the container's file system.
func (e *Engine) reach(ctx context.Context, ref string) (*reach, error) {
	c, err := e.lock(ctx, ref)
	if err != nil {
		return nil, err
	}
	r := &reach{engine: e, ctx: ctx, container: c, record: c.Record(), release: c.Unlock}
	if !r.record.State.Active() {
		r.parts = map[string]*os.File{}
		return r, nil
	}
	defer c.Unlock()
	r.process, err = e.processRoot(c.ID)
	switch {
	case errors.Is(err, engine.ErrConflict), errors.Is(err, engine.ErrNotFound), errors.Is(err, unix.ENOENT):
		return nil, r.ended(err)
	case err != nil:
		return nil, fmt.Errorf("cannot reach the files of container %s: %w", r.record.Name, err)
	}
	r.release = e.roots.use(c.ID)
	return r, nil
}

// root implements files.Roots. What is read-only in the container is so here.
func (r *reach) root(name string) (*os.File, string, error) {
	if r.process != nil {
		return r.process, name, nil
	}
	clean := path.Clean("/" + name)
	m := mountAt(&r.record, clean)
	r.mu.Lock()
	defer r.mu.Unlock()
	open := r.parts[m.Destination]
	if open == nil {
		var err error
		if open, err = r.open(m); err != nil {
			return nil, "", err
		}
		r.parts[m.Destination] = open
	}
	return open, view{prefix: m.Destination}.inside(clean), nil
}

func (r *reach) open(m container.Mount) (*os.File, error) {
	if m.Destination == "" {
		return r.engine.ownRoot(r.ctx, &r.record, r.record.Host.ReadonlyRootfs)
	}
	source, err := r.engine.mountSource(m)
	if err != nil || !m.ReadOnly {
		return source, err
	}
	defer source.Close()
	return runtime.Mount(runtime.Rootfs{Upper: fmt.Sprintf("/proc/self/fd/%d", source.Fd()), ReadOnly: true})
}

// owner is who owns what is written, if not the archive says so.
func (r *reach) owner() (*files.Owner, error) {
	if r.record.Config.User == "" {
		return nil, nil
	}
	root, _, err := r.root("/")
	if err != nil {
		return nil, err
	}
	return owner(root, r.record.Config.User)
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
	if r.process != nil {
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

// close closes what is open and returns the error of what was done. Files that went into a file system which the container
// no longer has may be lost.
func (r *reach) close(ctx context.Context, err error) error {
	defer r.release()
	if r.process == nil {
		for _, part := range r.parts {
			err = errors.Join(err, part.Close())
		}
		return err
	}
	if r.over() && ctx.Err() == nil {
		err = r.ended(err)
	}
	return errors.Join(err, r.process.Close())
}

func (r *reach) ended(err error) error {
	const text = "cannot reach the files of container %s: it has ended"
	if err == nil || errors.Is(err, context.Canceled) {
		return engine.Errorf(engine.ErrConflict, text, r.record.Name)
	}
	return engine.Errorf(engine.ErrConflict, text+": %w", r.record.Name, err)
}

// rootUses counts who has the root of a running container open. A second mount of the same directories would not see what
// comes through the first one, so it waits until nobody has.
type rootUses struct {
	mu   sync.Mutex
	byID map[string]*rootUse
}

type rootUse struct {
	count int
	none  chan struct{} // closed when the count is 0 again
}

// use notes a use. The caller holds the container's lock and calls release without it.
func (u *rootUses) use(id string) (release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	own := u.byID[id]
	if own == nil {
		if u.byID == nil {
			u.byID = map[string]*rootUse{}
		}
		own = &rootUse{none: make(chan struct{})}
		u.byID[id] = own
	}
	own.count++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if own.count--; own.count == 0 {
			delete(u.byID, id)
			close(own.none)
		}
	}
}

// releaseTime is how long a root is waited for. Whoever has one lets go as soon as the container has ended, unless a file
// system that is mounted there does not answer.
const releaseTime = 10 * time.Second

// released waits until nobody has the root open. The caller holds the container's lock, so that nobody opens it meanwhile.
// ErrUnavailable: it takes too long.
func (u *rootUses) released(ctx context.Context, id string) error {
	u.mu.Lock()
	own := u.byID[id]
	u.mu.Unlock()
	if own == nil {
		return nil
	}
	late := time.NewTimer(releaseTime)
	defer late.Stop()
	select {
	case <-own.none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return engine.Errorf(engine.ErrUnavailable,
			"files are still being synced to its last run, and that does not end: does a file system that it mounts not answer?")
	}
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
