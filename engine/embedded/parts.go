package embedded

import (
	"context"
	"os"
	"syscall"

	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// processes is what the engine needs of package runtime.
type processes interface {
	Create(ctx context.Context, c runtime.Container) (pid int, err error)
	Start(ctx context.Context, id string) error
	Signal(ctx context.Context, id string, sig syscall.Signal, all bool) error
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	Delete(ctx context.Context, id string) error
	Exec(ctx context.Context, id string, cfg runtime.ExecConfig, s runtime.Streams, started func(pid int)) (runtime.ExitStatus, error)
	SignalExec(ctx context.Context, id, execID string, sig syscall.Signal) error
	Attach(ctx context.Context, id string, s runtime.Streams, detachKeys []byte) error
	Resize(ctx context.Context, id, execID string, width, height uint) error
	Stats(ctx context.Context, id string) (runtime.Stats, error)
	Pids(ctx context.Context, id string) ([]int, error)
	OpenProc(id, name string, flags int) (*os.File, error)
	Update(ctx context.Context, id string, res *specs.LinuxResources) error
	SetNames(ctx context.Context, names runtime.Names) error
	SetPorts(ctx context.Context, ports map[string][]runtime.PortReservation) error
	SetNetworks(ctx context.Context, id string, networks []string) error
	List(ctx context.Context) ([]runtime.State, error)
	Run(ctx context.Context, c runtime.Container, s runtime.Streams) (runtime.ExitStatus, error)
	Close() error
}

// networks is what the engine needs of package network.
type networks interface {
	Adopt(ids []string) error
	Close() error
	Create(name string, opts dockernet.CreateOptions) (string, error)
	List() []dockernet.Inspect
	Inspect(ref string) (dockernet.Inspect, error)
	Remove(ref string) error
	Resolve(ref string) (id, name string, err error)
	NewSandbox(containerID string, attachments []network.Attachment, ports []network.Port, opts network.SandboxOptions) (*network.Sandbox, error)
	Attach(containerID, netns string, a network.Attachment) (*dockernet.EndpointSettings, error)
	Detach(containerID, netns, ref string) error
	Release(containerID string) error
	Rename(containerID, name string) error
	Endpoints(containerID string) (map[string]*dockernet.EndpointSettings, nat.PortMap)
	Repick(containerID string, taken network.Reservation) (network.Reservation, error)
	Names() network.Names
	HandOver(containerID string) (network.Handover, error)
	Claim(containerID string) ([]string, error)
	Reserved(containerID string) ([]network.Reservation, bool)
	Ready(containerID string) bool
	Quiet(netns string) (bool, error)
}
