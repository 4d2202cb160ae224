package runtime

import (
	"context"
	"errors"
	"syscall"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Run creates, starts, awaits and deletes a container whose streams are the given ones. It keeps no log and causes no
// events. If the engine dies, or ctx ends, the container is killed. A *StartError says that the command could not be
// executed. ErrUnsupported: a terminal.
func (r *Runtime) Run(ctx context.Context, c Container, s Streams) (exit ExitStatus, err error) {
	if c.Terminal {
		return exit, engine.Errorf(engine.ErrUnsupported, "cannot run container %s: a terminal is not supported here", c.ID)
	}
	if err := ctx.Err(); err != nil {
		return exit, err
	}
	p := &pumps{}
	defer p.close()
	if err := errors.Join(
		p.input(s.Stdin), p.output(protocol.FileStdout, s.Stdout), p.output(protocol.FileStderr, s.Stderr),
	); err != nil {
		return exit, err
	}
	request := createRequest(c)
	request.Bound, request.Files, request.Log = true, p.roles, nil
	ct, err := r.create(c, request, p.theirs)
	p.sent()
	if err != nil {
		return exit, err
	}
	defer func() {
		if !r.isClosed() {
			err = errors.Join(err, r.Delete(context.WithoutCancel(ctx), c.ID))
		}
	}()
	p.start()
	if s.Attached != nil {
		s.Attached()
	}
	if s.Stdin != nil {
		stdin := p.stdin
		feed(stdin, s.Stdin, func() { stdin.Close() })
	}
	if err := r.Start(ctx, c.ID); err != nil {
		return exit, errors.Join(err, r.end(ctx, ct))
	}
	select {
	case <-ct.exited:
	case <-r.closing: // the shim notices too
		return exit, errClosed
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), r.end(ctx, ct))
	}
	p.end()
	return ct.exitStatus(), err
}

// end kills the container and waits for its end.
func (r *Runtime) end(ctx context.Context, c *container) error {
	if c.status() == Stopped {
		return nil
	}
	err := r.Signal(context.WithoutCancel(ctx), c.id, syscall.SIGKILL, false)
	if err != nil && !errors.Is(err, engine.ErrConflict) {
		return err
	}
	<-c.exited
	return nil
}

func (c *container) exitStatus() ExitStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Exit
}
