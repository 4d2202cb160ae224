package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Attach connects streams to the container's own and returns nil when the container has exited and its output was
// delivered, ErrDetached when detachKeys were read from a terminal's input, or the context's error. It may be called
// between Create and Start, so that nothing is missed. ErrConflict: the container does not run, or the client did not
// keep up (Streams.Lossless).
func (r *Runtime) Attach(ctx context.Context, id string, s Streams, detachKeys []byte) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	a := &attachment{
		container: c, streams: s, name: rand.Text(), cut: make(chan struct{}), detached: make(chan struct{}),
	}
	p, err := a.begin()
	if err != nil {
		return err
	}
	defer a.forget()
	a.feed(detachKeys)
	if s.Attached != nil {
		s.Attached()
	}
	for {
		again, err := a.wait(ctx, p)
		if !again {
			return err
		}
		if p = a.takeNext(); p == nil {
			return a.container.afterLoss()
		}
	}
}

// attachment is one caller of Attach.
type attachment struct {
	container *container
	streams   Streams
	name      string
	cut       chan struct{} // closed when it was too slow
	cutOff    sync.Once
	detached  chan struct{}

	mu     sync.Mutex
	client *client // whose shim has the other ends
	next   *pumps  // to a new shim
}

// begin attaches for the first time.
func (a *attachment) begin() (p *pumps, err error) {
	c := a.container
	err = c.group.with(func(to *client) error {
		p, err = a.connect(to)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.attached[a.name] = a
	c.mu.Unlock()
	return p, nil
}

func (a *attachment) connect(to *client) (*pumps, error) {
	p := &pumps{}
	err := errors.Join(p.output(protocol.FileStdout, a.streams.Stdout), p.output(protocol.FileStderr, a.streams.Stderr))
	if err == nil {
		_, err = to.call(protocol.MethodAttach, protocol.AttachRequest{
			Ref: protocol.Ref{ID: a.container.id, Exec: a.name}, Lossless: a.streams.Lossless, Files: p.roles,
		}, nil, p.theirs...)
	}
	p.sent()
	if err != nil {
		p.close()
		return nil, err
	}
	a.mu.Lock()
	a.client = to
	a.mu.Unlock()
	p.start()
	return p, nil
}

// reattach connects everybody who was attached to a new shim, before that begins to read. Who cannot be connected
// learns it when he looks for the connection.
func (c *container) reattach(to *client) {
	c.mu.Lock()
	all := make([]*attachment, 0, len(c.attached))
	for _, a := range c.attached {
		all = append(all, a)
	}
	c.mu.Unlock()
	for _, a := range all {
		if p, err := a.connect(to); err == nil {
			a.mu.Lock()
			a.next = p
			a.mu.Unlock()
		}
	}
}

func (a *attachment) takeNext() *pumps {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.next
	a.next = nil
	return p
}

// afterLoss explains to an attached client that it could not be attached again.
func (c *container) afterLoss() error {
	if c.status() == Stopped {
		return nil
	}
	return engine.Errorf(engine.ErrUnavailable, "the connection to container %s was lost", c.id)
}

func (a *attachment) forget() {
	a.container.mu.Lock()
	delete(a.container.attached, a.name)
	a.container.mu.Unlock()
	if p := a.takeNext(); p != nil {
		p.close()
	}
}

// wait returns again if the shim died and another one has the container.
func (a *attachment) wait(ctx context.Context, p *pumps) (again bool, err error) {
	defer p.close()
	ended := make(chan struct{})
	go func() {
		p.copied.Wait()
		close(ended)
	}()
	c := a.container
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.group.runtime.closing:
		err = errClosed
	case <-a.detached:
		err = ErrDetached
	case <-a.cut:
		err = a.tooSlow()
	case <-c.exited:
		<-ended // the shim has closed its ends
		return false, nil
	case <-ended:
		return a.afterEnd(ctx, c)
	}
	for _, f := range p.ours {
		f.Close() // makes the copying stop
	}
	return false, err
}

// afterEnd finds out why there is no more output: the container has exited, it has closed its streams, or the shim died.
func (a *attachment) afterEnd(ctx context.Context, c *container) (again bool, err error) {
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-c.group.runtime.closing:
		return false, errClosed
	case <-a.detached:
		return false, ErrDetached
	case <-a.cut:
		return false, a.tooSlow()
	case <-c.exited:
		return false, nil
	case <-a.lost():
	}
	// When this returns, a successor has the container.
	err = c.group.with(func(*client) error { return nil })
	return err == nil, err
}

func (a *attachment) lost() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client.lost
}

func (a *attachment) tooSlow() error {
	return engine.Errorf(engine.ErrConflict, "the output of container %s was not read fast enough", a.container.id)
}

// feed copies the caller's input to the container's.
func (a *attachment) feed(keys []byte) {
	c := a.container
	in := a.streams.Stdin
	if in == nil {
		return
	}
	c.mu.Lock()
	terminal := c.kept[protocol.FileConsole] != nil
	once := c.stdinOnce
	c.mu.Unlock()
	done := func() {}
	switch {
	case terminal:
		k := newKeyReader(in, keys)
		a.detached = k.detached
		in = k
	case once:
		done = c.closeStdin
	}
	feed(&stdinWriter{container: c}, in, done)
}

// stdinWriter writes to a container's input, whichever shim it has.
type stdinWriter struct{ container *container }

func (w *stdinWriter) Write(b []byte) (int, error) {
	c := w.container
	c.mu.Lock()
	f := c.kept[protocol.FileConsole]
	if f == nil {
		f = c.kept[protocol.FileStdin]
	}
	c.mu.Unlock()
	if f == nil {
		return 0, io.ErrClosedPipe
	}
	return f.Write(b)
}

// closeStdin ends the container's input.
func (c *container) closeStdin() {
	c.mu.Lock()
	f := c.kept[protocol.FileStdin]
	delete(c.kept, protocol.FileStdin)
	c.mu.Unlock()
	if f != nil {
		f.Close()
	}
	_, _ = c.group.call(protocol.MethodCloseStdin, protocol.Ref{ID: c.id}, nil) // a container that is gone has no input
}

// Resize sets the size of the terminal of the container, or of an exec if execID is not empty, in characters.
// ErrConflict: it has no terminal.
func (r *Runtime) Resize(ctx context.Context, id, execID string, width, height uint) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	console := c.kept[protocol.FileConsole]
	if execID != "" {
		console = nil
		if e := c.execs[execID]; e != nil {
			console = e.console
		}
	}
	c.mu.Unlock()
	if console == nil {
		return engine.Errorf(engine.ErrConflict, "cannot resize: container %s has no terminal there", id)
	}
	return setSize(console, width, height)
}

func setSize(console *os.File, width, height uint) error {
	raw, err := console.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
	return errors.Join(cerr, err)
}
