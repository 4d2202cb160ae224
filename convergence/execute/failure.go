package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// Failure is an operation that failed, with what its container has to say about it.
type Failure struct {
	Operation plan.Operation
	Err       error

	ExitCode int      // of the container, if it exited
	Exited   bool     // it did
	OOM      bool     // because memory ran out
	Reason   string   // what the engine says about that
	Health   string   // the last output of its health check
	Logs     []string // the last lines that it wrote

	Foreign bool // what is in the way belongs to somebody else

	NotDone []string // other services of which something was left out because of it, sorted
}

// Error is the failure in one or more lines.
func (f *Failure) Error() string {
	var b strings.Builder
	text := f.Err.Error()
	b.WriteString(text)
	if f.Exited && !strings.Contains(text, "exit") {
		fmt.Fprintf(&b, "\n  it exited (%d)", f.ExitCode)
	}
	if f.Reason != "" && !strings.Contains(text, f.Reason) {
		b.WriteString("\n  " + f.Reason)
	}
	if f.OOM {
		b.WriteString("\n  it ran out of memory")
	}
	if f.Health != "" {
		fmt.Fprintf(&b, "\n  health check: %s", strings.ReplaceAll(strings.TrimSpace(f.Health), "\n", "\n    "))
	}
	if len(f.Logs) > 0 {
		b.WriteString("\n  its last lines:")
		for _, line := range f.Logs {
			b.WriteString("\n    " + line)
		}
	}
	return b.String()
}

// Unwrap gives the engine's error.
func (f *Failure) Unwrap() error { return f.Err }

// Lost says that the engine's answer was lost: nobody knows what has become of the operation.
func (f *Failure) Lost() bool { return lost(f.Operation, f.Err) }

// Outdated says that things are not as the plan took them to be: a name is taken, or what was there is gone.
func (f *Failure) Outdated() bool {
	if f.Foreign {
		return false
	}
	taken, gone := errors.Is(f.Err, engine.ErrConflict), errors.Is(f.Err, engine.ErrNotFound)
	switch f.Operation.(type) {
	case *plan.StartContainer, *plan.RestartContainer: // conflicts about ports and addresses stay
		return gone
	case *plan.WaitHealthy, *plan.WaitCompleted, *plan.MonitorContainer:
		return gone
	case *plan.CreateNetwork, *plan.RemoveNetwork, *plan.ConnectNetwork, *plan.DisconnectNetwork, *plan.CreateVolume, *plan.RemoveVolume,
		*plan.CreateContainer, *plan.RemoveContainer, *plan.RenameContainer, *plan.UpdateContainer, *plan.CopyFiles, *plan.UnpauseContainer:
		return taken || gone
	}
	return false
}

// Creating says that something was to be made. Who else makes it may remove it again.
func (f *Failure) Creating() bool {
	switch f.Operation.(type) {
	case *plan.CreateNetwork, *plan.CreateVolume, *plan.CreateContainer:
		return true
	}
	return false
}

const (
	failureLines = 10
	failureTime  = 2 * time.Second // to ask the engine for the details
)

// explain asks the engine about the container of a failed start or wait. A deadline that has passed must not keep the
// reason from the user; an interruption needs no explanation.
func (x *executor) explain(ctx context.Context, op plan.Operation, err error) error {
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	if cause := context.Cause(ctx); late && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cause) {
		err = cause // with the words of who set the deadline
	}
	ref := subjectOfFailure(op)
	if ref == "" || ctx.Err() != nil && !late {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failureTime)
	defer cancel()
	f := &Failure{Operation: op, Err: err}
	if c, inspectErr := x.engine.ContainerInspect(ctx, ref); inspectErr == nil && c.State != nil {
		f.OOM, f.Reason = c.State.OOMKilled, c.State.Error
		f.Exited = c.State.Status == container.StateExited
		f.ExitCode = c.State.ExitCode
		if h := c.State.Health; h != nil && len(h.Log) > 0 {
			f.Health = h.Log[len(h.Log)-1].Output
		}
	}
	logs := container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(failureLines)}
	for entry, logErr := range x.engine.ContainerLogs(ctx, ref, logs) {
		if logErr != nil {
			break
		}
		f.Logs = append(f.Logs, strings.TrimRight(string(entry.Line), "\r\n"))
	}
	return f
}

func subjectOfFailure(op plan.Operation) string {
	switch op := op.(type) {
	case *plan.StartContainer:
		return op.Container
	case *plan.WaitHealthy:
		return op.Container
	case *plan.WaitCompleted:
		return op.Container
	case *plan.MonitorContainer:
		return op.Container
	}
	return ""
}

// failure is the error of an operation as a Failure.
func (x *executor) failure(op plan.Operation, err error) Failure {
	if f, ok := err.(*Failure); ok { //nolint:errorlint // made by explain and not wrapped
		return *f
	}
	return Failure{Operation: op, Err: err, Foreign: x.foreign[op.Head().ID]}
}
