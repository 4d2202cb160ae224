package embedded

import (
	"context"
	"io"
	"sync"
	"time"

	"stackrun.dev/stack/engine"
)

const (
	// silence is how long nothing may come of a tar that is synced. Meanwhile others who sync to the container wait.
	silence = time.Minute

	// patience is how long a client may keep a container's file system at a time while somebody else needs it: to start or remove
	// the container, for example. It is enough for a client that is at work, however slow the line.
	patience = 2 * time.Second
)

// client is who sends or takes an archive. It may do that as slowly as it likes, and stop in the middle, but not at the expense of
// others.
type client struct {
	end func(error) // ends the transfer with the error, unless it has ended

	mu    sync.Mutex
	limit time.Duration // how long it may be waited for at a time; 0: any time
	since time.Time     // it has been waited for; zero: it is not
	late  *time.Timer
}

func newClient(limit time.Duration, end func(error)) *client {
	c := &client{end: end, limit: limit}
	c.late = time.AfterFunc(time.Hour, c.giveUp)
	c.late.Stop()
	return c
}

func (c *client) giveUp() {
	c.mu.Lock()
	late, limit := !c.since.IsZero() && time.Since(c.since) >= c.limit, c.limit
	c.mu.Unlock()
	if late { // and not just waited for anew
		c.end(engine.Errorf(engine.ErrUnavailable, "cannot copy files: nothing has moved for %v, and others wait for the container", limit))
	}
}

// hurry lets it be waited for no longer than patience from now on.
func (c *client) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = patience
	if !c.since.IsZero() {
		c.since = time.Now()
		c.late.Reset(c.limit)
	}
}

// await does what waits for the client.
func (c *client) await(step func() (int, error)) (int, error) {
	c.mu.Lock()
	c.since = time.Now()
	if c.limit > 0 {
		c.late.Reset(c.limit)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.since = time.Time{}
		c.late.Stop()
	}()
	return step()
}

// sender is a client that sends an archive. Reading that ends with the context, or when the client is given up, whatever the client
// is waiting for.
type sender struct {
	*client
	*io.PipeReader
}

func newSender(ctx context.Context, content io.Reader, limit time.Duration) sender {
	reader, writer := io.Pipe()
	s := sender{newClient(limit, func(err error) { writer.CloseWithError(err) }), reader}
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		_, err := io.CopyBuffer(writer, awaited{s.client, content}, make([]byte, 64<<10))
		writer.CloseWithError(err)
	}()
	return s
}

type awaited struct {
	*client
	from io.Reader
}

func (a awaited) Read(p []byte) (int, error) {
	return a.await(func() (int, error) { return a.from.Read(p) })
}

// taker is a client that takes an archive. A write fails when the context has ended or the client is given up.
type taker struct {
	*client
	to *io.PipeWriter
}

func newTaker(ctx context.Context, to *io.PipeWriter) (t taker, stop func() bool) {
	t = taker{newClient(0, func(err error) { to.CloseWithError(err) }), to}
	return t, context.AfterFunc(ctx, func() { to.CloseWithError(ctx.Err()) })
}

func (t taker) Write(p []byte) (int, error) {
	return t.await(func() (int, error) { return t.to.Write(p) })
}
