// Package spec turns what Docker's API says about a container into the OCI runtime specification that is executed.
//
// It is a pure function of its input, the kernel's features and the host's device nodes apart. Defaults are Docker's
// or stricter. Every field of Docker's HostConfig is either carried out here, or belongs to another part of the engine
// (networks, volumes, restart policy), or is refused with an error of kind engine.ErrUnsupported that names the field;
// nothing is ignored in silence.
package spec

import (
	"path"
	"strings"

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

	// Mounts are the volumes, binds and files that the engine has resolved. They come after the standard mounts, parents
	// before what is inside them, and replace the standard mount of the same destination. HostConfig.Tmpfs is added here.
	Mounts []specs.Mount

	// Shm is the host directory that becomes /dev/shm when another container's is shared. Without it, the container
	// has one of its own. The IPC mode "container:<id>" needs it.
	Shm string

	Namespaces  Namespaces
	CgroupsPath string // as the runtime understands it; HostConfig.CgroupParent, if set, takes its place
	CgroupV2    bool   // the host has the unified hierarchy only; UnifiedCgroups finds out
}

// Namespaces holds the paths of namespaces to join. An empty path is decided by the HostConfig's mode: a new namespace,
// or the host's. A mode "container:<id>" needs its path here.
type Namespaces struct {
	Network, PID, IPC, UTS string
}

// Build makes the specification. Root.Path is empty, Process.User and the variable HOME are left to the shim, which
// alone sees the container's /etc/passwd. The seccomp profile is shared between specifications and must not be changed.
// ErrInvalid: a field makes no sense. ErrUnsupported: a field cannot be done. Both name it.
func Build(in Input) (*specs.Spec, error) {
	host := in.host()
	if err := check(in.Config, host, in.CgroupV2); err != nil {
		return nil, err
	}
	sec, err := parseSecurity(host)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Readonly: host.ReadonlyRootfs},
		Annotations: host.Annotations,
		Linux: &specs.Linux{
			CgroupsPath:       in.cgroupsPath(),
			RootfsPropagation: rootPropagation(in.Mounts),
			Sysctl:            sysctls(host),
		},
	}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = sec.paths(host)
	for _, step := range []func() error{
		func() (err error) { s.Process, err = in.process(sec); return },
		func() (err error) { s.Linux.Namespaces, err = in.namespaces(); return },
		func() (err error) { s.Mounts, err = in.mounts(sec); return },
		func() (err error) { s.Linux.Resources, err = createResources(host.Resources, in.CgroupV2); return },
		func() (err error) { return addDevices(s.Linux, host) },
		func() (err error) { s.Linux.Seccomp, err = sec.filter(s, host.Privileged); return },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if host.UTSMode != "host" {
		s.Hostname, s.Domainname = in.hostname(), in.Config.Domainname
	}
	return s, nil
}

// Validate says what Build would say about the two, without the resolved parts and the command. It is for refusing a
// container when it is created instead of when it is started. host may be nil.
func Validate(cfg *container.Config, host *container.HostConfig) error {
	in := Input{Config: cfg, Host: host, CgroupV2: UnifiedCgroups()}
	host = in.host()
	if err := check(cfg, host, in.CgroupV2); err != nil {
		return err
	}
	if _, err := parseSecurity(host); err != nil {
		return err
	}
	if _, err := capabilities(host); err != nil {
		return err
	}
	if _, err := rlimits(host.Ulimits); err != nil {
		return err
	}
	for dest, options := range host.Tmpfs {
		if _, err := TmpfsMount(dest, options); err != nil {
			return err
		}
	}
	if _, err := deviceRules(host.DeviceCgroupRules); err != nil {
		return err
	}
	return checkResources(host.Resources, in.CgroupV2)
}

func (in Input) host() *container.HostConfig {
	if in.Host == nil {
		return &container.HostConfig{}
	}
	return in.Host
}

func (in Input) hostname() string {
	switch {
	case in.Hostname != "":
		return in.Hostname
	case in.Config.Hostname != "":
		return in.Config.Hostname
	}
	return in.ID[:min(12, len(in.ID))]
}

func (in Input) cgroupsPath() string {
	if parent := in.host().CgroupParent; parent != "" {
		return path.Join("/", parent, in.ID)
	}
	return in.CgroupsPath
}

// rootPropagation makes the root as open to the host's mounts as its most open bind mount.
func rootPropagation(mounts []specs.Mount) string {
	propagation := ""
	for _, m := range mounts {
		for _, o := range m.Options {
			switch strings.TrimPrefix(o, "r") {
			case "shared":
				return "shared"
			case "slave":
				propagation = "rslave"
			}
		}
	}
	return propagation
}

// check refuses what does not go together or cannot be done, apart from what the builders of the parts find.
func check(cfg *container.Config, host *container.HostConfig, cgroupV2 bool) error {
	if cfg == nil {
		return engine.Errorf(engine.ErrInvalid, "cannot build a container: no configuration")
	}
	if err := checkUnsupported(host); err != nil {
		return err
	}
	if err := checkModes(host); err != nil {
		return err
	}
	if err := checkSysctls(host); err != nil {
		return err
	}
	switch {
	case len(cfg.Hostname) > 64 || strings.ContainsRune(cfg.Hostname, 0):
		return invalid("Hostname", "%q is longer than 64 bytes", cfg.Hostname)
	case cfg.WorkingDir != "" && !path.IsAbs(cfg.WorkingDir):
		return invalid("WorkingDir", "%q is not an absolute path", cfg.WorkingDir)
	case host.ShmSize < 0:
		return invalid("ShmSize", "%d is negative", host.ShmSize)
	case host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000:
		return invalid("OomScoreAdj", "%d is not between -1000 and 1000", host.OomScoreAdj)
	case host.CgroupParent != "" && strings.Contains(host.CgroupParent, ".."):
		return invalid("CgroupParent", "%q leaves its parent", host.CgroupParent)
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return engine.Errorf(engine.ErrInvalid, "cannot use "+field+": "+format, args...)
}

func unsupported(field, format string, args ...any) error {
	return engine.Errorf(engine.ErrUnsupported, "cannot do "+field+": "+format, args...)
}
