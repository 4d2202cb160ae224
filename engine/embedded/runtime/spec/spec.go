// Package spec turns what Docker's API says about a container into the OCI runtime specification that is executed.
//
// It is a pure function of its input, the kernel's capabilities apart. Defaults are Docker's or stricter. Every field
// of Docker's HostConfig is either carried out here, or belongs to another part of the engine (networks, volumes,
// restart policy), or is refused with an error of kind engine.ErrUnsupported that names the field; nothing is ignored
// in silence.
package spec

import (
	"github.com/docker/docker/api/types/container"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// Input is everything that decides about a container's specification.
type Input struct {
	ID       string
	Hostname string                // empty for Config.Hostname and, without that, the ID's first 12 digits
	Config   *container.Config     // what runs
	Host     *container.HostConfig // how it meets the host; nil for all defaults
	Image    ocispec.ImageConfig   // completes what Config leaves open; the zero value if Config is complete already

	// Mounts are the volumes, binds and files that the engine has resolved. They come after the standard mounts in the
	// order of their destinations, and replace the standard mount of the same destination. HostConfig.Tmpfs is added here.
	Mounts []specs.Mount

	Namespaces  Namespaces
	CgroupsPath string // as the runtime understands it
	CgroupV2    bool   // the host has the unified hierarchy only
}

// Namespaces holds the paths of namespaces to join. An empty path is decided by the HostConfig's mode: a new namespace,
// or the host's. A mode "container:<id>" needs its path here.
type Namespaces struct {
	Network, PID, IPC, UTS, Cgroup string
}

// Build makes the specification. Root is the empty path, Process.User is left to the shim, which alone sees the
// container's /etc/passwd. ErrInvalid: a field makes no sense. ErrUnsupported: a field cannot be done. Both name it.
func Build(in Input) (*specs.Spec, error) {
	return nil, engine.Errorf(engine.ErrUnsupported, "cannot build the specification: not built yet")
}

// Validate says what Build would say about the two, without the resolved parts. It is for refusing a container when it
// is created instead of when it is started.
func Validate(cfg *container.Config, host *container.HostConfig) error { return nil }

// Resources converts the limits, for a running container's update. What r leaves zero is left as it is.
func Resources(r container.Resources, cgroupV2 bool) (*specs.LinuxResources, error) {
	return &specs.LinuxResources{}, nil
}
