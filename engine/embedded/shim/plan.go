package shim

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine/embedded/shim/filter"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/stub"
)

// plan is how a process is started.
type plan struct {
	config  *configs.Config // of the container; nil for a further process
	process *specs.Process
	caps    *configs.Capabilities
	stub    *stub.Config // nil: libcontainer executes the command itself
}

// plan makes libcontainer's configuration of the request's.
func (s *Shim) plan(r *protocol.CreateRequest, root string, netns *os.File) (*plan, error) {
	spec := *r.Spec
	spec.Root = &specs.Root{Path: root, Readonly: r.Rootfs.ReadOnly || r.Spec.Root != nil && r.Spec.Root.Readonly}
	linux := *r.Spec.Linux
	spec.Linux = &linux
	if netns != nil {
		linux.Namespaces = joinNetwork(linux.Namespaces, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), netns.Fd()))
	}
	process := *r.Spec.Process
	if process.OOMScoreAdj == nil {
		process.OOMScoreAdj = new(int) // not the shim's own
	}
	spec.Process = &process
	p := &plan{process: &process}
	var err error
	profile := linux.Seccomp
	if mayRemount(&spec) {
		profile = nil // left to libcontainer
	}
	if p.stub, p.caps, err = s.stubFor(&spec, profile, r.Init); err != nil {
		return nil, err
	}
	if p.stub != nil && profile != nil {
		linux.Seccomp = nil
	}
	p.config, err = specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: r.ID, Spec: &spec})
	if err != nil {
		return nil, protocol.Errorf(protocol.Invalid, "cannot create container %s: %w", r.ID, err)
	}
	return p, nil
}

func joinNetwork(all []specs.LinuxNamespace, path string) []specs.LinuxNamespace {
	out := slices.DeleteFunc(slices.Clone(all), func(ns specs.LinuxNamespace) bool {
		return ns.Type == specs.NetworkNamespace
	})
	return append(out, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path})
}

// extra are the capabilities that loading a filter wants.
var extra = []string{"CAP_SYS_ADMIN", "CAP_SETPCAP"}

// stubFor plans the last step before the command, which may include loading a filter, and which capabilities
// libcontainer has to leave to it. The stub is executed through /proc, so there is none without it.
func (s *Shim) stubFor(spec *specs.Spec, profile *specs.LinuxSeccomp, init bool) (*stub.Config, *configs.Capabilities, error) {
	given := configCapabilities(spec.Process.Capabilities)
	if !hasProc(spec) {
		if init {
			return nil, nil, protocol.Errorf(protocol.Invalid, "a container with init needs /proc")
		}
		return nil, given, nil
	}
	config := &stub.Config{Init: init}
	if profile == nil {
		return config, given, nil
	}
	program, err := s.filters.Compile(profile)
	if errors.Is(err, filter.ErrDynamic) && !init {
		return nil, given, nil
	}
	if err != nil {
		return nil, nil, protocol.Errorf(protocol.Invalid, "%w", err)
	}
	config.Filter, config.FilterFlags = program.Instructions, program.Flags
	if spec.Process.NoNewPrivileges {
		return config, given, nil // then anybody may load a filter
	}
	config.Capabilities = &stub.Capabilities{
		DropBounding: bits(extra) &^ bits(given.Bounding),
		Effective:    bits(given.Effective), Permitted: bits(given.Permitted),
		Inheritable: bits(given.Inheritable), Ambient: bits(given.Ambient),
	}
	return config, &configs.Capabilities{
		Bounding: withExtra(given.Bounding), Effective: withExtra(given.Effective), Permitted: withExtra(given.Permitted),
		Inheritable: withExtra(given.Inheritable), Ambient: withExtra(given.Ambient),
	}, nil
}

// mayRemount tells whether the container's own processes can mount. They could put a program of theirs in the place of
// the stub of a further process, which would have no filter. So libcontainer loads the filters of such containers.
func mayRemount(spec *specs.Spec) bool {
	caps := spec.Process.Capabilities
	return caps != nil && slices.Contains(caps.Bounding, "CAP_SYS_ADMIN")
}

// withExtra adds the extra capabilities.
func withExtra(caps []string) []string {
	out := slices.Concat(caps, extra)
	slices.Sort(out)
	return slices.Compact(out)
}

func configCapabilities(c *specs.LinuxCapabilities) *configs.Capabilities {
	if c == nil {
		return &configs.Capabilities{}
	}
	return &configs.Capabilities{
		Bounding: available(c.Bounding), Effective: available(c.Effective), Permitted: available(c.Permitted),
		Inheritable: available(c.Inheritable), Ambient: available(c.Ambient),
	}
}

// available leaves out the capabilities that the shim, being confined itself, cannot give.
func available(names []string) []string {
	own := ownCapabilities()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		bit, known := capabilityBits[name]
		return known && own&bit == 0
	})
}

var ownCapabilities = sync.OnceValue(func() uint64 {
	caps, err := capability.NewPid2(0)
	if err != nil || caps.Load() != nil {
		return math.MaxUint64
	}
	var own uint64
	for _, c := range capability.ListKnown() {
		if caps.Get(capability.PERMITTED, c) && caps.Get(capability.BOUNDING, c) {
			own |= 1 << uint(c)
		}
	}
	return own
})

func hasProc(spec *specs.Spec) bool {
	return slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool {
		return m.Type == "proc" && m.Destination == "/proc"
	})
}

var capabilityBits = func() map[string]uint64 {
	m := map[string]uint64{}
	for _, c := range capability.ListKnown() {
		m[capabilityName(c)] = 1 << uint(c)
	}
	return m
}()

func bits(names []string) (set uint64) {
	for _, n := range names {
		set |= capabilityBits[n]
	}
	return set
}
