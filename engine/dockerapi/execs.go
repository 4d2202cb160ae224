package dockerapi

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// execFailure begins what clients read from an exec's output when its command could not be executed: the answer has
// begun when the engine notices. These are Docker's words, which other programs look for.
const execFailure = "OCI runtime exec failed: exec failed: "

func (b *containerBackend) ContainerExecCreate(name string, opts *container.ExecOptions) (string, error) {
	return b.engine.ExecCreate(context.Background(), name, *opts)
}

func (b *containerBackend) ContainerExecInspect(id string) (*backend.ExecInspect, error) {
	exec, err := b.engine.ExecInspect(context.Background(), id)
	if err != nil {
		return nil, err
	}
	out := &backend.ExecInspect{
		ID: exec.ExecID, Running: exec.Running, ContainerID: exec.ContainerID, Pid: exec.Pid,
		ProcessConfig: &backend.ExecProcessConfig{Arguments: []string{}}, DetachKeys: []byte{},
	}
	if !exec.Running {
		out.ExitCode = &exec.ExitCode
	}
	return out, nil
}

func (b *containerBackend) ContainerExecResize(ctx context.Context, id string, height, width uint32) error {
	return b.engine.ExecResize(ctx, id, container.ResizeOptions{Height: uint(height), Width: uint(width)})
}

// ExecExists is asked before the connection is taken over: the last moment for a status.
func (b *containerBackend) ExecExists(id string) (bool, error) {
	exec, err := b.engine.ExecInspect(context.Background(), id)
	if err != nil {
		return false, err
	}
	c, err := b.engine.ContainerInspect(context.Background(), exec.ContainerID)
	if err != nil {
		return false, err
	}
	if !c.State.Running || c.State.Paused {
		return false, engine.Errorf(engine.ErrConflict, "cannot start exec %s: container %s is %s", id, exec.ContainerID, c.State.Status)
	}
	return true, nil
}

// ContainerExecStart runs the exec; without streams it is detached.
func (b *containerBackend) ContainerExecStart(ctx context.Context, id string, cfg backend.ExecStartConfig) error {
	if cfg.ConsoleSize != nil {
		// The process is not there yet; the engine remembers the size or takes it after the start.
		_ = b.engine.ExecResize(ctx, id, container.ResizeOptions{Height: cfg.ConsoleSize[0], Width: cfg.ConsoleSize[1]})
	}
	if cfg.Stdin == nil && cfg.Stdout == nil && cfg.Stderr == nil {
		return b.engine.ExecStart(ctx, id, true, engine.AttachOptions{})
	}
	// The connection is both input and output. Docker's router only half closes it.
	defer closeConn(cfg.Stdin)
	err := b.engine.ExecStart(ctx, id, false, engine.AttachOptions{Stdin: cfg.Stdin, Stdout: cfg.Stdout, Stderr: cfg.Stderr})
	if err != nil {
		_, _ = fmt.Fprintf(cfg.Stdout, "%s%v\r\n", execFailure, err)
	}
	return nil
}
