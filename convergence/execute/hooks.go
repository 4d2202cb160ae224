package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/hook"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// runHook executes a hook in its container; what it prints is told as progress.
func (x *executor) runHook(ctx context.Context, op *plan.RunHook) error {
	said := &hook.Tail{Tell: func(text string) {
		x.progress(op)(jsonmessage.JSONMessage{Stream: text})
	}}
	err := hook.Run(ctx, x.engine, op.Container, op.Hook, said)
	if _, ran := errors.AsType[hook.Exit](err); err == nil || ran {
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

// hookFailure names the hook and says what it printed. No error, no failure.
func hookFailure(op *plan.RunHook, err error, said *hook.Tail) error {
	if err == nil {
		return nil
	}
	f := &Failure{Operation: op, Err: fmt.Errorf("%s[%d] of service %s failed in container %s: %w", op.Moment, op.Index, op.Service, op.Subject.Name, err)}
	if op.Moment == plan.PreStop {
		f.Err = fmt.Errorf("%w; the container is not stopped (kill stops it without its hooks)", f.Err)
	}
	f.Logs = said.Lines(failureLines)
	return f
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
