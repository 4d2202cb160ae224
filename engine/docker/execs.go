package docker

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// execFailure begins the text that Docker writes to an exec's output when the command could not be executed. There is
// no other sign of it: the request was answered before.
const execFailure = "OCI runtime exec failed: "

// ExecCreate implements engine.Execs.
func (e *Engine) ExecCreate(ctx context.Context, ref string, opts container.ExecOptions) (string, error) {
	made, err := e.api.ContainerExecCreate(ctx, ref, opts)
	if err != nil {
		return "", e.failed(err)
	}
	e.terminals.Store(made.ID, opts.Tty)
	return made.ID, nil
}

// ExecStart implements engine.Execs.
func (e *Engine) ExecStart(ctx context.Context, id string, detach bool, opts engine.AttachOptions) error {
	known, _ := e.terminals.LoadAndDelete(id)
	terminal, _ := known.(bool)
	if detach {
		err := e.api.ContainerExecStart(ctx, id, container.ExecStartOptions{Detach: true, Tty: terminal})
		return e.failedExec(ctx, id, err)
	}
	conn, err := e.api.ContainerExecAttach(ctx, id, container.ExecAttachOptions{Tty: terminal})
	if err != nil {
		return e.failedExec(ctx, id, err)
	}
	return e.runExec(ctx, id, conn, terminal, opts)
}

// runExec copies the streams and, should the command not have been executed, turns what Docker wrote about it into an
// error.
func (e *Engine) runExec(ctx context.Context, id string, conn types.HijackedResponse, terminal bool, opts engine.AttachOptions) error {
	held := &failureFilter{to: writer(opts.Stdout)}
	opts.Stdout = held
	if err := e.copyStreams(ctx, conn, terminal, opts); err != nil {
		return err
	}
	if held.text == nil {
		return nil
	}
	exec, err := e.api.ContainerExecInspect(ctx, id)
	if err != nil {
		return e.failed(err)
	}
	if exec.ExitCode != 126 && exec.ExitCode != 127 {
		return held.release()
	}
	return &engine.Error{Kind: engine.ErrInvalid, Text: strings.TrimSpace(string(held.text))}
}

// failedExec adds what a refused upgrade does not say: the exec is not there, or its container does not run.
func (e *Engine) failedExec(ctx context.Context, id string, err error) error {
	if err == nil || !strings.Contains(err.Error(), "unable to upgrade") {
		return e.failed(err)
	}
	exec, inspectErr := e.api.ContainerExecInspect(ctx, id)
	if inspectErr != nil {
		return e.failed(inspectErr)
	}
	return engine.Errorf(engine.ErrConflict, "cannot start exec %s: it was started before, or container %s does not run: %w", id, exec.ContainerID, err)
}

// ExecInspect implements engine.Execs.
func (e *Engine) ExecInspect(ctx context.Context, id string) (container.ExecInspect, error) {
	exec, err := e.api.ContainerExecInspect(ctx, id)
	return exec, e.failed(err)
}

// ExecResize implements engine.Execs.
func (e *Engine) ExecResize(ctx context.Context, id string, opts container.ResizeOptions) error {
	return e.failed(e.api.ContainerExecResize(ctx, id, opts))
}

// failureFilter passes everything on, except for a first piece of output that begins as Docker's failure does. That
// piece is kept until more follows or someone decides.
type failureFilter struct {
	to      io.Writer
	started bool
	text    []byte
}

func (f *failureFilter) Write(p []byte) (int, error) {
	if !f.started && bytes.HasPrefix(p, []byte(execFailure)) {
		f.started, f.text = true, bytes.Clone(p)
		return len(p), nil
	}
	f.started = true
	if err := f.release(); err != nil {
		return 0, err
	}
	return f.to.Write(p)
}

// release passes on what was kept.
func (f *failureFilter) release() error {
	if f.text == nil {
		return nil
	}
	_, err := f.to.Write(f.text)
	f.text = nil
	return err
}
