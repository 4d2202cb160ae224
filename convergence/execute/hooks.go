package execute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// runHook executes a hook in its container; what it prints is told as progress.
func (x *executor) runHook(ctx context.Context, op *plan.RunHook) error {
	said := &printed{tell: func(text string) {
		x.progress(op)(jsonmessage.JSONMessage{Stream: text})
	}}
	err := x.exec(ctx, op, said)
	if _, ran := errors.AsType[exitError](err); err == nil || ran {
		return hookFailure(op, err, said)
	}
	switch exited, code := x.hasExited(ctx, op.Container); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case exited && op.OrExited:
		return nil
	case exited:
		err = fmt.Errorf("the container has exited (%d)", code)
	}
	return hookFailure(op, err, said)
}

func (x *executor) exec(ctx context.Context, op *plan.RunHook, out io.Writer) error {
	h := op.Hook
	id, err := x.engine.ExecCreate(ctx, op.Container, container.ExecOptions{
		User: h.User, Privileged: h.Privileged, Env: h.Env, WorkingDir: h.WorkingDir, Cmd: h.Command, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return err
	}
	if err := x.engine.ExecStart(ctx, id, false, engine.AttachOptions{Stdout: out, Stderr: out}); err != nil {
		return err
	}
	state, err := x.engine.ExecInspect(ctx, id)
	if err == nil && state.ExitCode != 0 {
		err = exitError(state.ExitCode)
	}
	return err
}

// hookEnd bounds the wait for the end of a container in which a hook could not be executed: the process may be gone before
// the engine has told.
const hookEnd = time.Second

// hasExited looks why a hook could not be executed: the container may have ended, or be gone.
func (x *executor) hasExited(ctx context.Context, ref string) (exited bool, code int) {
	ctx, cancel := context.WithTimeout(ctx, hookEnd)
	defer cancel()
	ended, failures := x.engine.ContainerWait(ctx, ref, container.WaitConditionNotRunning)
	select {
	case end := <-ended:
		return true, int(end.StatusCode)
	case err := <-failures:
		return errors.Is(err, engine.ErrNotFound), 0
	}
}

// exitError is a hook that ran and failed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// hookFailure names the hook and says what it printed. No error, no failure.
func hookFailure(op *plan.RunHook, err error, said *printed) error {
	if err == nil {
		return nil
	}
	f := &Failure{Operation: op, Err: fmt.Errorf("%s[%d] of service %s failed in container %s: %w", op.Moment, op.Index, op.Service, op.Subject.Name, err)}
	if op.Moment == plan.PreStop {
		f.Err = fmt.Errorf("%w; the container is not stopped (kill stops it without its hooks)", f.Err)
	}
	f.Logs = said.last()
	return f
}

// printed passes on what a hook prints, and keeps its end.
type printed struct {
	tell func(string)

	mu  sync.Mutex
	end []byte
}

// keptOutput bounds what is kept of a hook's output for the message about its failure, in bytes.
const keptOutput = 4 << 10

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(string(b))
	p.end = append(p.end, b...)
	if over := len(p.end) - keptOutput; over > 0 {
		p.end = append(p.end[:0], p.end[over:]...)
	}
	return len(b), nil
}

// last are the last lines.
func (p *printed) last() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(p.end), ""))
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	return lines[max(0, len(lines)-failureLines):]
}

// followHook tells what the container of a hook writes, until it has exited. An engine that keeps no log of it has nothing to
// tell.
func (x *executor) followHook(ctx context.Context, op *plan.WaitCompleted) {
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true}
	for entry, err := range x.engine.ContainerLogs(ctx, op.Container, opts) {
		if err != nil {
			return
		}
		x.progress(op)(jsonmessage.JSONMessage{Stream: string(entry.Line)})
	}
}
