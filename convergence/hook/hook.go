// Package hook executes commands of services in their running containers.
package hook

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// Exit is a command that ran and failed: its exit code.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Run executes the hook in the container, writes what it prints to out, and returns when it has exited. Errors: an Exit, or why
// it could not be executed.
func Run(ctx context.Context, e engine.Execs, ref string, h desired.Hook, out io.Writer) error {
	id, err := e.ExecCreate(ctx, ref, container.ExecOptions{
		User: h.User, Privileged: h.Privileged, Env: h.Env, WorkingDir: h.WorkingDir, Cmd: h.Command, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return err
	}
	if err := e.ExecStart(ctx, id, false, engine.AttachOptions{Stdout: out, Stderr: out}); err != nil {
		return err
	}
	state, err := e.ExecInspect(ctx, id)
	if err == nil && state.ExitCode != 0 {
		err = Exit(state.ExitCode)
	}
	return err
}

// Tail passes on what a hook prints, one piece at a time, and keeps the end of it.
type Tail struct {
	Tell func(text string) // may be nil

	mu  sync.Mutex
	end []byte
}

// kept bounds what a Tail keeps, in bytes.
const kept = 4 << 10

func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Tell != nil {
		t.Tell(string(b))
	}
	t.end = append(t.end, b...)
	if over := len(t.end) - kept; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
	return len(b), nil
}

// Lines are the last lines that were printed, n at most.
func (t *Tail) Lines(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.end), ""))
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}
