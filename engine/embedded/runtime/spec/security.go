package spec

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// security is what the list HostConfig.SecurityOpt means.
type security struct {
	noNewPrivileges bool
	seccomp         string // "" or "builtin" for the default, "unconfined", or a profile in JSON
	apparmor        string // profile; "" for none
	openSystemPaths bool   // nothing is masked or made read-only
	cgroups         *bool  // whether the container may write to its control groups; nil for the default
}

func parseSecurity(host *container.HostConfig) (security, error) {
	var sec security
	for _, opt := range host.SecurityOpt {
		if err := sec.parse(opt); err != nil {
			return sec, err
		}
	}
	return sec, nil
}

func (sec *security) parse(opt string) error {
	name, value, ok := strings.Cut(opt, "=")
	if !ok {
		name, value, ok = strings.Cut(opt, ":") // the form of very old clients, which Docker still takes
	}
	if !ok {
		value = "true"
	}
	switch name {
	case "no-new-privileges":
		return parseBool(&sec.noNewPrivileges, opt, value)
	case "writable-cgroups":
		sec.cgroups = new(bool)
		return parseBool(sec.cgroups, opt, value)
	case "seccomp":
		sec.seccomp = value
		return checkSeccomp(value)
	case "apparmor":
		return sec.parseAppArmor(value)
	case "label":
		if value != "disable" && !hostHas("/sys/fs/selinux/enforce") {
			return unsupported("SecurityOpt", "%q, because this host has no SELinux", opt)
		}
		if value != "disable" {
			return unsupported("SecurityOpt", "%q, only label=disable", opt)
		}
		return nil
	case "systempaths":
		if value != "unconfined" {
			return invalid("SecurityOpt", "%q is not systempaths=unconfined", opt)
		}
		sec.openSystemPaths = true
		return nil
	}
	return invalid("SecurityOpt", "%q is no option", opt)
}

func (sec *security) parseAppArmor(profile string) error {
	switch {
	case profile == "unconfined" || profile == "":
		return nil
	case !hostHas("/sys/kernel/security/apparmor/profiles"):
		return unsupported("SecurityOpt", "apparmor=%s, because this host has no AppArmor", profile)
	}
	sec.apparmor = profile
	return nil
}

func parseBool(dst *bool, opt, value string) error {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return invalid("SecurityOpt", "%q is neither true nor false", opt)
	}
	*dst = b
	return nil
}

func hostHas(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// writableCgroups says whether the container may write below /sys/fs/cgroup.
func (sec security) writableCgroups(host *container.HostConfig) bool {
	if sec.cgroups != nil {
		return *sec.cgroups
	}
	return host.Privileged
}

// paths returns what is masked and what is read-only. Empty lists that are not nil are a wish for none.
func (sec security) paths(host *container.HostConfig) (masked, readonly []string) {
	if host.Privileged || sec.openSystemPaths {
		return nil, nil
	}
	masked, readonly = defaultMaskedPaths(), defaultReadonlyPaths
	if host.MaskedPaths != nil {
		masked = host.MaskedPaths
	}
	if host.ReadonlyPaths != nil {
		readonly = host.ReadonlyPaths
	}
	return masked, readonly
}

var defaultReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// defaultMaskedPaths are the files that tell about the host or harm it, as Docker 28 has them.
var defaultMaskedPaths = sync.OnceValue(func() []string {
	masked := []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
	const cpus = "/sys/devices/system/cpu"
	entries, _ := os.ReadDir(cpus) // without it there is nothing to mask
	for _, e := range entries {
		throttle := cpus + "/" + e.Name() + "/thermal_throttle"
		if strings.HasPrefix(e.Name(), "cpu") && hostHas(throttle) {
			masked = append(masked, throttle)
		}
	}
	return masked
})

// filters caches seccomp filters: a container's filter depends on the profile and on its capabilities only, and
// working it out takes longer than everything else here together.
var filters sync.Map // of filterKey to *specs.LinuxSeccomp

type filterKey struct{ profile, caps string }

// filter returns the seccomp filter for the specification, nil for none.
func (sec security) filter(s *specs.Spec, privileged bool) (*specs.LinuxSeccomp, error) {
	if sec.seccomp == "unconfined" || privileged && sec.seccomp == "" {
		return nil, nil
	}
	key := filterKey{sec.seccomp, strings.Join(s.Process.Capabilities.Bounding, " ")}
	if f, ok := filters.Load(key); ok {
		return f.(*specs.LinuxSeccomp), nil
	}
	var f *specs.LinuxSeccomp
	var err error
	if sec.seccomp == "" || sec.seccomp == "builtin" {
		f, err = seccomp.GetDefaultProfile(s)
	} else {
		f, err = seccomp.LoadProfile(sec.seccomp, s)
	}
	if err != nil {
		return nil, invalid("SecurityOpt", "the seccomp profile is not valid: %w", err)
	}
	filters.Store(key, f)
	return f, nil
}

// checkSeccomp reads a profile before it is needed.
func checkSeccomp(profile string) error {
	switch profile {
	case "", "builtin", "unconfined":
		return nil
	}
	if !strings.HasPrefix(strings.TrimSpace(profile), "{") {
		return invalid("SecurityOpt", "seccomp=%.40q is neither unconfined nor a profile in JSON", profile)
	}
	empty := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}
	if _, err := seccomp.LoadProfile(profile, empty); err != nil {
		return invalid("SecurityOpt", "the seccomp profile is not valid: %w", err)
	}
	return nil
}
