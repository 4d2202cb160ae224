package runtime

import (
	"context"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// Runtime starts, watches and ends containers. Its methods may be called from several goroutines.
type Runtime struct{}

var errMissing = engine.Errorf(engine.ErrUnsupported, "cannot run containers: the shim is missing")

// Open connects to the shims that run and has dead ones replaced. Afterwards List tells what runs and what exited
// while nobody looked; OnEvent is not called for that.
func Open(ctx context.Context, opts Options) (*Runtime, error) { return nil, errMissing }

// Close leaves the containers and their shims alone. Shims without running containers end.
func (r *Runtime) Close() error { return errMissing }

// Create makes the container's first process, which waits for Start, and returns its pid as the host sees it. On an
// error nothing is left. ErrConflict: the ID is in use, or a port is taken. ErrInvalid: the configuration makes no
// sense, for example the user is not in the image. The file c.NetNS may be closed afterwards.
func (r *Runtime) Create(ctx context.Context, c Container) (pid int, err error) { return 0, errMissing }

// Start executes the command. A *StartError says that it could not be executed; the container is then stopped and
// waits for Delete.
func (r *Runtime) Start(ctx context.Context, id string) error { return errMissing }

// Signal sends the signal to the first process, or to all of them. ErrConflict: the container does not run.
func (r *Runtime) Signal(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	return errMissing
}

// Pause freezes all processes. ErrConflict: the container does not run, or is paused.
func (r *Runtime) Pause(ctx context.Context, id string) error { return errMissing }

// Resume lets them go on. ErrConflict: the container is not paused.
func (r *Runtime) Resume(ctx context.Context, id string) error { return errMissing }

// Delete forgets a stopped or created container and gives back its cgroup, pipes and ports. ErrConflict: it runs.
// ErrNotFound: there is none.
func (r *Runtime) Delete(ctx context.Context, id string) error { return errMissing }

// Exec runs a further process and returns when it has exited and its output was delivered (with cfg.Detach: when it was
// executed, the ExecExited event comes later). started, if not nil, is called with its pid once it was executed. A
// *StartError says that it could not be executed. When ctx ends, Exec returns and the process goes on; what it writes is
// dropped.
func (r *Runtime) Exec(ctx context.Context, id string, cfg ExecConfig, s Streams, started func(pid int)) (ExitStatus, error) {
	return ExitStatus{}, errMissing
}

// SignalExec sends a signal to a process that Exec started.
func (r *Runtime) SignalExec(ctx context.Context, id, execID string, sig syscall.Signal) error {
	return errMissing
}

// Attach connects streams to the container's own and returns nil when the container has exited and its output was
// delivered, ErrDetached when detachKeys were read from a terminal's input, or the context's error. It may be called
// between Create and Start, so that nothing is missed.
func (r *Runtime) Attach(ctx context.Context, id string, s Streams, detachKeys []byte) error {
	return errMissing
}

// ErrDetached is what Attach and Exec return when the user typed the detach keys.
var ErrDetached = engine.Errorf(engine.ErrConflict, "detached")

// Resize sets the size of the terminal of the container, or of an exec if execID is not empty, in characters.
func (r *Runtime) Resize(ctx context.Context, id, execID string, width, height uint) error {
	return errMissing
}

// Stats takes a sample.
func (r *Runtime) Stats(ctx context.Context, id string) (Stats, error) { return Stats{}, errMissing }

// Pids lists the container's processes as the host numbers them.
func (r *Runtime) Pids(ctx context.Context, id string) ([]int, error) { return nil, errMissing }

// Update changes the limits of a container that runs.
func (r *Runtime) Update(ctx context.Context, id string, res *specs.LinuxResources) error {
	return errMissing
}

// SetNames replaces the tables of the networks in names, and leaves those of others alone. An empty table forgets the
// network. The shims that have containers on these networks, and those that will, get to know them; they keep the last
// table while no engine is there.
func (r *Runtime) SetNames(ctx context.Context, names Names) error { return errMissing }

// SetNetworks changes on which networks a container looks names up.
func (r *Runtime) SetNetworks(ctx context.Context, id string, networks []string) error {
	return errMissing
}

// List knows all containers that were created and not deleted, sorted by ID.
func (r *Runtime) List(ctx context.Context) ([]State, error) { return nil, errMissing }

// Run creates, starts, awaits and deletes a container whose streams are the given ones. It keeps no log. If the engine
// dies, or ctx ends, the container is killed.
func (r *Runtime) Run(ctx context.Context, c Container, s Streams) (ExitStatus, error) {
	return ExitStatus{}, errMissing
}

// Mount returns the root directory of a root file system that no container uses at the moment, mounted where no other
// process sees it. Closing the file unmounts it.
func Mount(fs Rootfs) (*os.File, error) { return nil, errMissing }
