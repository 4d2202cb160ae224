package docker

import (
	"context"
	"errors"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"stackrun.dev/stack/engine"
)

// ContainerAttach implements engine.Containers.
func (e *Engine) ContainerAttach(ctx context.Context, ref string, opts engine.AttachOptions) error {
	// A refused upgrade has no text and older engines do not say whether the stream is multiplexed: ask first.
	c, err := e.api.ContainerInspect(ctx, ref)
	if err != nil {
		return e.failed(err)
	}
	conn, err := e.api.ContainerAttach(ctx, ref, container.AttachOptions{
		Stream: true, Logs: opts.Logs, DetachKeys: opts.DetachKeys,
		Stdin: opts.Stdin != nil, Stdout: opts.Stdout != nil, Stderr: opts.Stderr != nil,
	})
	if err != nil {
		return e.failed(err)
	}
	return e.copyStreams(ctx, conn, c.Config != nil && c.Config.Tty, opts)
}

// copyStreams connects the caller's streams with a hijacked connection until the engine ends it or ctx is done.
func (e *Engine) copyStreams(ctx context.Context, conn types.HijackedResponse, terminal bool, opts engine.AttachOptions) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	if opts.Attached != nil {
		opts.Attached()
	}
	if opts.Stdin != nil {
		// It ends with its input or with the connection; a reader that blocks cannot be taken back.
		go func() {
			_, _ = io.Copy(conn.Conn, opts.Stdin)
			_ = conn.CloseWrite()
		}()
	}
	err := demultiplex(conn.Reader, terminal, writer(opts.Stdout), writer(opts.Stderr))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return engine.Errorf(engine.ErrUnavailable, "cannot go on with the streams: %w", err)
	}
	return nil
}

func demultiplex(r io.Reader, terminal bool, stdout, stderr io.Writer) error {
	if terminal {
		_, err := io.Copy(stdout, r)
		return err
	}
	_, err := stdcopy.StdCopy(stdout, stderr, r)
	return err
}

func writer(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
