package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// runHook executes a hook in its container; what it prints is told as progress. A container that is gone by the time of a
// hook before its stop needs none.
func (x *executor) runHook(ctx context.Context, op *plan.RunHook) error {
	h := op.Hook
	id, err := x.engine.ExecCreate(ctx, op.Container, container.ExecOptions{
		User: h.User, Privileged: h.Privileged, Env: h.Env, WorkingDir: h.WorkingDir, Cmd: h.Command, AttachStdout: true, AttachStderr: true,
	})
	if op.Moment == plan.PreStop && (errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound)) {
		return nil
	}
	if err != nil {
		return hookFailure(op, err, nil)
	}
	said := &printed{tell: func(text string) {
		x.progress(op)(jsonmessage.JSONMessage{Stream: text})
	}}
	err = x.engine.ExecStart(ctx, id, false, engine.AttachOptions{Stdout: said, Stderr: said})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return hookFailure(op, err, said)
	}
	state, err := x.engine.ExecInspect(ctx, id)
	if err == nil && state.ExitCode != 0 {
		err = fmt.Errorf("exit %d", state.ExitCode)
	}
	if err != nil {
		return hookFailure(op, err, said)
	}
	return nil
}

// hookFailure names the hook and says what it printed.
func hookFailure(op *plan.RunHook, err error, said *printed) error {
	f := &Failure{Operation: op, Err: fmt.Errorf("%s[%d] of service %s failed in container %s: %w", op.Moment, op.Index, op.Service, op.Subject.Name, err)}
	if op.Moment == plan.PreStop {
		f.Err = fmt.Errorf("%w; the container is not stopped (kill stops it without its hooks)", f.Err)
	}
	if said != nil {
		f.Logs = said.last()
	}
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
