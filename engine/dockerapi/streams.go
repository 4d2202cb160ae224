package dockerapi

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"stackrun.dev/stack/engine"
)

// ContainerLogs is not reached: logs have a route of their own.
func (b *containerBackend) ContainerLogs(context.Context, string, *container.LogsOptions) (<-chan *backend.LogMessage, bool, error) {
	return nil, false, unsupported("read logs")
}

// ContainerAttach connects the client's connection when the engine has connected the container's streams. Until then an
// error can be told with a status.
func (b *containerBackend) ContainerAttach(name string, cfg *backend.ContainerAttachConfig) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := b.engine.ContainerInspect(ctx, name)
	if err != nil {
		return err
	}
	conn := &attachment{ready: make(chan struct{}), connect: func() (io.ReadCloser, io.Writer, error) {
		in, out, _, err := cfg.GetStreams(!c.Config.Tty && cfg.MuxStreams, cancel)
		return in, out, err
	}}
	defer conn.close()
	stdout, stderr := conn.streams(!c.Config.Tty && cfg.MuxStreams)
	if !cfg.Stream {
		return b.replay(ctx, name, cfg, conn, stdout, stderr)
	}
	opts := engine.AttachOptions{Logs: cfg.Logs, DetachKeys: cfg.DetachKeys, Attached: conn.open}
	if cfg.UseStdin {
		opts.Stdin = conn
	}
	if cfg.UseStdout {
		opts.Stdout = stdout
	}
	if cfg.UseStderr && !c.Config.Tty {
		opts.Stderr = stderr
	}
	err = b.engine.ContainerAttach(ctx, name, opts)
	if conn.opened() {
		return conn.failure // the answer has begun: the end of the stream is all that can be told
	}
	return err
}

// replay writes the log only.
func (b *containerBackend) replay(ctx context.Context, name string, cfg *backend.ContainerAttachConfig, conn *attachment, stdout, stderr io.Writer) error {
	conn.open()
	if !cfg.Logs || conn.failure != nil {
		return conn.failure
	}
	for entry, err := range b.engine.ContainerLogs(ctx, name, container.LogsOptions{ShowStdout: cfg.UseStdout, ShowStderr: cfg.UseStderr}) {
		if err != nil {
			return nil
		}
		out := stdout
		if entry.Stream == "stderr" {
			out = stderr
		}
		if _, err := out.Write(entry.Line); err != nil {
			return nil
		}
	}
	return nil
}

// attachment is a connection that is taken over only when the engine is ready for it. Reading and writing wait.
type attachment struct {
	connect func() (io.ReadCloser, io.Writer, error)
	once    sync.Once
	ready   chan struct{} // closed when connect was called
	in      io.ReadCloser
	out     io.Writer
	failure error // of connect
}

func (a *attachment) open() {
	a.once.Do(func() {
		a.in, a.out, a.failure = a.connect()
		close(a.ready)
	})
}

func (a *attachment) opened() bool {
	select {
	case <-a.ready:
		return true
	default:
		return false
	}
}

// close ends the connection, and with it a reader that still waits for the client.
func (a *attachment) close() {
	a.once.Do(func() {
		a.failure = errors.New("not attached")
		close(a.ready)
	})
	if a.failure == nil {
		a.in.Close()
		closeConn(a.out)
	}
}

// Read implements io.Reader: the client's input.
func (a *attachment) Read(p []byte) (int, error) {
	<-a.ready
	if a.failure != nil {
		return 0, io.EOF
	}
	return a.in.Read(p)
}

// Write implements io.Writer: the raw connection.
func (a *attachment) Write(p []byte) (int, error) {
	<-a.ready
	if a.failure != nil {
		return 0, io.ErrClosedPipe
	}
	return a.out.Write(p)
}

func (a *attachment) streams(multiplexed bool) (stdout, stderr io.Writer) {
	if !multiplexed {
		return a, a
	}
	return stdcopy.NewStdWriter(a, stdcopy.Stdout), stdcopy.NewStdWriter(a, stdcopy.Stderr)
}

// closeConn closes a connection that Docker's router would only half close.
func closeConn(stream any) {
	if c, ok := stream.(io.Closer); ok {
		_ = c.Close()
	}
}
