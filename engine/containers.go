package engine

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// CreateConfig is what a container is made from: the body of POST /containers/create.
type CreateConfig struct {
	Config     *container.Config         // what runs: image, command, environment, labels, health check
	Host       *container.HostConfig     // how it meets the host: mounts, ports, limits, restart policy. May be nil.
	Networking *network.NetworkingConfig // the networks it is on, with aliases and addresses. May be nil.
	Platform   *ocispec.Platform         // nil for the host's
}

// Containers creates, runs and watches containers.
type Containers interface {
	// ContainerCreate stores a container and takes its name; nothing runs yet. An empty name is replaced by a generated
	// one. ErrNotFound: the image is not there. ErrConflict: the name is taken. ErrInvalid: the configuration makes no
	// sense; the message names the field. Anonymous volumes are made here.
	ContainerCreate(ctx context.Context, name string, cfg CreateConfig) (container.CreateResponse, error)
	ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error)
	ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error)

	// ContainerStart returns when the container's process has been executed. If that fails, everything the attempt took
	// is given back and the container's exit code is 125, 126 (not executable) or 127 (not found), as Docker's.
	// ErrConflict: a host port is taken.
	ContainerStart(ctx context.Context, ref string) error

	// ContainerStop sends the stop signal and, when the time is over, SIGKILL. It returns when the container has
	// exited. Restart policies leave a container alone that was stopped this way.
	ContainerStop(ctx context.Context, ref string, opts container.StopOptions) error
	ContainerRestart(ctx context.Context, ref string, opts container.StopOptions) error

	// ContainerKill sends a signal by name or number; "" is SIGKILL. ErrConflict: it does not run.
	ContainerKill(ctx context.Context, ref, signal string) error
	ContainerPause(ctx context.Context, ref string) error
	ContainerUnpause(ctx context.Context, ref string) error
	ContainerRename(ctx context.Context, ref, name string) error

	// ContainerRemove removes the container and its log. ErrConflict: it runs and opts.Force is not set.
	ContainerRemove(ctx context.Context, ref string, opts container.RemoveOptions) error

	// ContainerWait waits for the condition ("not-running" if empty, "next-exit", "removed"). The wait holds from the
	// moment ContainerWait returns. An exit satisfies the first two also when the restart policy starts the container
	// again. Exactly one of the channels yields exactly one value.
	ContainerWait(ctx context.Context, ref string, cond container.WaitCondition) (<-chan container.WaitResponse, <-chan error)

	// ContainerLogs yields what the container wrote, oldest first. With opts.Follow it goes on until the container has
	// exited and its last entry was read. opts.Timestamps and opts.Details have no effect: an entry carries its time.
	// A cancelled context ends the sequence with the context's error.
	ContainerLogs(ctx context.Context, ref string, opts container.LogsOptions) iter.Seq2[LogEntry, error]

	// ContainerAttach connects streams to the container's own and returns when it exits, when the caller detaches with
	// opts.DetachKeys, or when the context is done. None of the streams is closed.
	ContainerAttach(ctx context.Context, ref string, opts AttachOptions) error

	// ContainerResize sets the size of the container's terminal, in characters.
	ContainerResize(ctx context.Context, ref string, opts container.ResizeOptions) error

	// ContainerTop lists the container's processes in the columns of ps with the given arguments (nil: "-ef").
	ContainerTop(ctx context.Context, ref string, psArgs []string) (container.TopResponse, error)

	// ContainerStats takes one sample of what the container uses. The Pre fields are the zero value.
	ContainerStats(ctx context.Context, ref string) (container.StatsResponse, error)

	// ContainerUpdate changes limits and the restart policy of a container, running or not.
	ContainerUpdate(ctx context.Context, ref string, cfg container.UpdateConfig) (container.UpdateResponse, error)
}

// LogEntry is one line that a container wrote, or part of one.
type LogEntry struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"; a container with a terminal has stdout only
	Line   []byte // with its newline, unless the line goes on in the next entry of the same stream or was never ended
}

// AttachOptions says what to connect to a container's or an exec's streams. A nil stream is not connected.
type AttachOptions struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer // a terminal has stdout only

	Logs       bool   // ContainerAttach only: first what the container wrote before
	DetachKeys string // for example "ctrl-p,ctrl-q", which is what "" means; effective with a terminal only

	// Attached, if not nil, is called once when the streams are connected: what the process writes from then on arrives.
	Attached func()
}

// Execs runs further processes in running containers.
type Execs interface {
	// ExecCreate stores what to run and returns the exec's ID. ErrConflict: the container does not run.
	ExecCreate(ctx context.Context, ref string, opts container.ExecOptions) (string, error)

	// ExecStart runs it with the streams and returns when it has exited and its output was delivered. Which streams there
	// are was said in ExecCreate. With detach it returns when the process has been executed. A command that cannot be
	// executed is an error of kind ErrInvalid, and the exec's exit code is 126 or 127.
	ExecStart(ctx context.Context, id string, detach bool, opts AttachOptions) error
	ExecInspect(ctx context.Context, id string) (container.ExecInspect, error)
	ExecResize(ctx context.Context, id string, opts container.ResizeOptions) error
}

// Archives copies files into and out of containers, running or not. Paths are resolved inside the container's root and
// cannot leave it, whatever symbolic links it has. A container that does not run has the files that it would see if it ran: with its
// volumes, filled from the image, and its binds.
type Archives interface {
	// StatPath describes the file. ErrNotFound: there is none.
	StatPath(ctx context.Context, ref, path string) (container.PathStat, error)

	// CopyFrom returns a tar of the file or the directory, under its base name. The caller closes it.
	CopyFrom(ctx context.Context, ref, path string) (io.ReadCloser, container.PathStat, error)

	// CopyTo unpacks a tar (plain or compressed) in the directory path, which must exist. ErrForbidden: it is mounted read-only.
	CopyTo(ctx context.Context, ref, path string, content io.Reader, opts container.CopyToContainerOptions) error
}
