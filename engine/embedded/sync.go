package embedded

import (
	"context"
	"errors"
	"io"
	"sync"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// CompareFiles implements engine.Syncs.
func (e *Engine) CompareFiles(ctx context.Context, ref string, wanted []engine.FileState) ([]int, error) {
	r, err := e.reach(ctx, ref, toLook)
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
	r, err := e.reach(ctx, c.ID, toSync)
	if err != nil {
		return err
	}
	return r.close(ctx, e.syncInto(ctx, r, content, opts))
}

func (e *Engine) syncInto(ctx context.Context, r *reach, content io.Reader, opts engine.SyncOptions) error {
	owner, err := r.owner()
	if err != nil {
		return err
	}
	t, err := e.trail(r)
	if err != nil {
		return err
	}
	running, cancel := r.whileItRuns(ctx)
	defer cancel()
	archive := newSender(running, content, silence)
	defer archive.Close()
	defer r.attend(archive.client)()
	err = files.Sync(running, r.root, archive, files.SyncOptions{
		SyncOptions: opts, Owner: owner, Fixed: r.fixed(), Enter: t.note, Temporary: temporary(r.container.ID),
	})
	return errors.Join(err, t.end())
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
