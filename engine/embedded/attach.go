package embedded

import (
	"context"
	"errors"
	"sync"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/moby/term"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// defaultDetachKeys are Docker's.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// ContainerAttach implements engine.Containers. Streams can be connected to a container that does not run yet; its
// next start waits until they are.
func (e *Engine) ContainerAttach(ctx context.Context, ref string, opts engine.AttachOptions) error {
	keys, err := detachKeys(opts.DetachKeys)
	if err != nil {
		return err
	}
	c, err := e.lock(ctx, ref)
	if err != nil {
		return err
	}
	record := c.Record()
	if record.State.Phase == lifecycle.Paused {
		c.Unlock()
		return engine.Errorf(engine.ErrConflict, "cannot attach to container %s: it is paused, unpause it first", record.Name)
	}
	if opts.Logs {
		if err := e.replay(ctx, c, opts); err != nil {
			c.Unlock()
			return err
		}
	}
	if !record.Config.OpenStdin {
		opts.Stdin = nil
	}
	e.containerEvent(&record, events.ActionAttach)
	if record.State.Active() {
		c.Unlock()
		return e.attached(&record, e.runtime.Attach(ctx, c.ID, attachStreams(opts), keys))
	}
	w := e.waiting.add(c.ID, ctx, attachStreams(opts), keys)
	if opts.Attached != nil {
		opts.Attached()
	}
	c.Unlock()
	return e.attached(&record, e.waiting.wait(ctx, w))
}

// attached turns the runtime's result into the contract's and tells of a user who left.
func (e *Engine) attached(r *container.Record, err error) error {
	if errors.Is(err, runtime.ErrDetached) {
		e.containerEvent(r, "detach")
		return nil
	}
	return err
}

// replay writes what the container wrote before.
func (e *Engine) replay(ctx context.Context, c *container.Container, opts engine.AttachOptions) error {
	for entry, err := range e.ContainerLogs(ctx, c.ID, dockercontainer.LogsOptions{ShowStdout: true, ShowStderr: true}) {
		if err != nil {
			return err
		}
		out := opts.Stdout
		if entry.Stream == "stderr" {
			out = opts.Stderr
		}
		if out == nil {
			continue
		}
		if _, err := out.Write(entry.Line); err != nil {
			return err
		}
	}
	return nil
}

func streams(opts engine.AttachOptions) runtime.Streams {
	return runtime.Streams{Stdin: opts.Stdin, Stdout: opts.Stdout, Stderr: opts.Stderr, Attached: opts.Attached}
}

// attachStreams loses nothing: a container whose client does not read waits for it, as Docker's do.
func attachStreams(opts engine.AttachOptions) runtime.Streams {
	s := streams(opts)
	s.Lossless = true
	return s
}

func detachKeys(keys string) ([]byte, error) {
	if keys == "" {
		keys = defaultDetachKeys
	}
	bytes, err := term.ToBytes(keys)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "invalid detach keys %q: %w", keys, err)
	}
	return bytes, nil
}

// attachTable knows who wants to be attached to containers that do not run.
type attachTable struct {
	mu  sync.Mutex
	all map[string][]*waiter // by container ID
}

type waiter struct {
	ctx     context.Context
	id      string
	streams runtime.Streams
	keys    []byte
	result  chan error
}

func (t *attachTable) add(id string, ctx context.Context, s runtime.Streams, keys []byte) *waiter {
	s.Attached = nil // the caller was told already
	w := &waiter{ctx: ctx, id: id, streams: s, keys: keys, result: make(chan error, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string][]*waiter{}
	}
	t.all[id] = append(t.all[id], w)
	return w
}

// take removes and returns those who wait for the container.
func (t *attachTable) take(id string) []*waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiters := t.all[id]
	delete(t.all, id)
	return waiters
}

// fail ends the waiting of all who wait for the container.
func (t *attachTable) fail(id string, err error) {
	for _, w := range t.take(id) {
		w.result <- err
	}
}

// wait returns what came of the waiter's streams.
func (t *attachTable) wait(ctx context.Context, w *waiter) error {
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	for i, other := range t.all[w.id] {
		if other == w {
			t.all[w.id] = append(t.all[w.id][:i:i], t.all[w.id][i+1:]...)
			break
		}
	}
	if len(t.all[w.id]) == 0 {
		delete(t.all, w.id)
	}
	t.mu.Unlock()
	return ctx.Err()
}

// attachWaiting connects those who waited to the container, which was created and is not started yet, and returns when
// all are connected.
func (e *Engine) attachWaiting(id string) {
	var connected sync.WaitGroup
	for _, w := range e.waiting.take(id) {
		connected.Add(1)
		told := sync.OnceFunc(connected.Done)
		w.streams.Attached = told
		go func() {
			defer told()
			w.result <- e.runtime.Attach(w.ctx, id, w.streams, w.keys)
		}()
	}
	connected.Wait()
}

// ContainerResize implements engine.Containers.
func (e *Engine) ContainerResize(ctx context.Context, ref string, opts dockercontainer.ResizeOptions) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	record := c.Record()
	if !record.State.Active() {
		return engine.Errorf(engine.ErrConflict, "cannot resize the terminal of container %s: container is not running", record.Name)
	}
	if err := e.runtime.Resize(ctx, c.ID, "", opts.Width, opts.Height); err != nil {
		return err
	}
	e.containerEvent(&record, events.ActionResize)
	return nil
}
