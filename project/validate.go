package project

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/internal/dag"
	"stackrun.dev/stack/project/internal/tree"
)

// validate is phase 7: what only the merged model can tell.
func validate(p *Project) (Errors, []Warning) {
	v := &validator{Project: p}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		v.service(s)
		v.limits(s)
		v.ulimits(s.Ulimits, "services", name)
		if s.Build != nil {
			v.ulimits(s.Build.Ulimits, "services", name, "build")
		}
		v.mounts(s)
		v.references(s)
		v.dependencies(s)
	}
	v.jobs()
	v.objects()
	v.external()
	v.cycle()
	v.published()
	v.containerNames()
	v.addresses()
	return v.errors, v.warnings
}

type validator struct {
	*Project
	errors   Errors
	warnings []Warning
}

func (v *validator) warn(rule, text string, at tree.Place) {
	if len(v.warnings) < mostNotices {
		v.warnings = append(v.warnings, Warning{positionOf(at), text, rule})
	}
}

func (v *validator) fail(rule, problem, fix string, path ...string) {
	if !v.full() {
		v.errors = v.errors.with(v.mistake(rule, problem, fix, path...))
	}
}

func (v *validator) full() bool { return len(v.errors) > mostNotices }

// serviceFault is a way to say of a service what cannot be.
type serviceFault struct {
	is                 bool
	rule, problem, fix string
	path               []string // below the service
}

const (
	oneOfTwo    = "remove one of the two"
	conflicting = "conflict"
)

func (v *validator) service(s types.ServiceConfig) {
	h, scale := s.HealthCheck, s.GetScale()
	faults := []serviceFault{
		{s.Build == nil && s.Image == "" && s.Provider == nil, "no-image", fmt.Sprintf("service %s has neither an image nor a build", s.Name), "add image: or build:", nil},
		{s.NetworkMode != "" && len(s.Networks) > 0, conflicting, "network_mode and networks exclude each other", oneOfTwo, []string{"network_mode"}},
		{scale < 0, "out-of-range", "the scale cannot be below 0", "", []string{"scale"}},
		{scale > 1 && s.ContainerName != "", "container-name-scale",
			fmt.Sprintf("a container_name can be used once only, and the scale is %d", scale), "remove container_name", []string{"container_name"}},
		{h != nil && len(h.Test) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, firstOf(h)), "invalid-healthcheck",
			fmt.Sprintf("a health check's test begins with CMD, CMD-SHELL or NONE, not with %q", firstOf(h)), testAdvice(h), []string{"healthcheck", "test"}},
	}
	if d := s.Deploy; d != nil && d.Replicas != nil && s.Scale != nil {
		faults = append(faults, serviceFault{*d.Replicas != *s.Scale, conflicting, "scale and deploy.replicas contradict each other", oneOfTwo, []string{"scale"}})
	}
	if b := s.Build; b != nil {
		lacking := s.Platform != "" && len(b.Platforms) > 0 && !slices.Contains(b.Platforms, s.Platform)
		faults = append(faults,
			serviceFault{b.DockerfileInline != "" && v.has("services", s.Name, "build", "dockerfile"), conflicting,
				"dockerfile and dockerfile_inline exclude each other", oneOfTwo, []string{"build", "dockerfile_inline"}},
			serviceFault{lacking, conflicting, "the platform " + s.Platform + " is not among those that are built", "add it to build.platforms", []string{"platform"}})
	}
	for _, f := range faults {
		if f.is {
			v.fail(f.rule, f.problem, f.fix, append([]string{"services", s.Name}, f.path...)...)
		}
	}
	v.namespaces(s)
	v.targets(s)
	v.watches(s)
	v.onChange(s)
}

func firstOf(h *types.HealthCheckConfig) string {
	if h == nil || len(h.Test) == 0 {
		return ""
	}
	return h.Test[0]
}

func testAdvice(h *types.HealthCheckConfig) string {
	if h == nil || len(h.Test) == 0 {
		return ""
	}
	return fmt.Sprintf("write [CMD, %s], or the command as one string", strings.Join(h.Test, ", "))
}

// namespaces reports what a container cannot have of its own that uses another one's network.
func (v *validator) namespaces(s types.ServiceConfig) {
	if !strings.HasPrefix(s.NetworkMode, types.ServicePrefix) && !strings.HasPrefix(s.NetworkMode, types.ContainerPrefix) {
		return
	}
	for _, own := range []struct {
		attribute string
		is        bool
	}{
		{"ports", len(s.Ports) > 0}, {"expose", len(s.Expose) > 0}, {"hostname", s.Hostname != ""}, {"dns", len(s.DNS) > 0},
		{"extra_hosts", len(s.ExtraHosts) > 0}, {"mac_address", s.MacAddress != ""},
	} {
		if own.is {
			problem := fmt.Sprintf("%s has no effect on a container with network_mode %s", own.attribute, s.NetworkMode)
			v.fail(conflicting, problem, "write it where that network belongs", "services", s.Name, own.attribute)
		}
	}
}

// targets reports published ports that lead nowhere. Where variables were left as they are written, nobody knows.
func (v *validator) targets(s types.ServiceConfig) {
	if v.options.NoInterpolate {
		return
	}
	for i, p := range s.Ports {
		if p.Target == 0 {
			v.fail("missing-key", "a published port has no target", "add target: with the port of the container", "services", s.Name, "ports", index(i))
		}
	}
}

// limits compares the two places in which a limit can be stated.
func (v *validator) limits(s types.ServiceConfig) {
	if s.Deploy == nil {
		return
	}
	differ := func(a, b string, one, other int64) {
		if one != 0 && other != 0 && one != other {
			v.fail(conflicting, a+" and "+b+" contradict each other", oneOfTwo, "services", s.Name, a)
		}
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		if cpus := l.NanoCPUs.Value(); s.CPUS != 0 && cpus != 0 && cpus != s.CPUS {
			v.fail(conflicting, "cpus and deploy.resources.limits.cpus contradict each other", oneOfTwo, "services", s.Name, "cpus")
		}
		differ("mem_limit", "deploy.resources.limits.memory", int64(s.MemLimit), int64(l.MemoryBytes))
		differ("pids_limit", "deploy.resources.limits.pids", s.PidsLimit, l.Pids)
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		differ("mem_reservation", "deploy.resources.reservations.memory", int64(s.MemReservation), int64(r.MemoryBytes))
		v.devices(r.Devices, "services", s.Name, "deploy", "resources", "reservations", "devices")
	}
	v.devices(s.Gpus, "services", s.Name, "gpus")
}

func (v *validator) devices(requests []types.DeviceRequest, path ...string) {
	for i, d := range requests {
		if len(d.IDs) > 0 && v.has(append(slices.Clone(path), index(i), "count")...) {
			v.fail(conflicting, "count and device_ids exclude each other", oneOfTwo, append(slices.Clone(path), index(i), "count")...)
		}
	}
}

func (v *validator) objects() {
	for _, name := range v.SecretNames() {
		v.object("secrets", name, types.FileObjectConfig(v.Secrets[name]))
	}
	for _, name := range v.ConfigNames() {
		v.object("configs", name, types.FileObjectConfig(v.Configs[name]))
	}
}

func (v *validator) object(kind, name string, o types.FileObjectConfig) {
	given := 0
	for _, set := range []bool{o.File != "", o.Environment != "", o.Content != "" && o.Environment == "", bool(o.External), o.Driver != ""} {
		if set {
			given++
		}
	}
	choice := "file or environment"
	if kind == "configs" {
		choice = "file, environment or content"
	}
	switch {
	case given == 0:
		v.fail("missing-key", fmt.Sprintf("%s.%s has no content", kind, name), "give it one of "+choice, kind, name)
	case given > 1:
		v.fail(conflicting, fmt.Sprintf("%s.%s has more than one source", kind, name), "give it one of "+choice, kind, name)
	}
}

// external reports attributes of networks and volumes that somebody else has made.
func (v *validator) external() {
	check := func(kind, name string, attributes ...string) {
		for _, attribute := range attributes {
			if v.has(kind, name, attribute) {
				v.fail(conflicting, fmt.Sprintf("%s has no effect on %s.%s, which is external", attribute, kind, name),
					"remove it, or external", kind, name, attribute)
			}
		}
	}
	for _, name := range v.VolumeNames() {
		if v.Volumes[name].External {
			check("volumes", name, "driver", "driver_opts", "labels")
		}
	}
	for _, name := range v.NetworkNames() {
		if v.Networks[name].External {
			check("networks", name, "driver", "driver_opts", "ipam", "internal", "attachable", "enable_ipv6", "labels")
		}
	}
}

func (v *validator) cycle() {
	var g dag.Graph
	for _, name := range v.ServiceNames() {
		g.Add(name, slices.Sorted(maps.Keys(v.Services[name].DependsOn))...)
	}
	_, err := g.Sort()
	c, ok := errors.AsType[*dag.CycleError](err)
	switch {
	case !ok:
	case len(c.Path) == 2:
		v.fail("cycle", fmt.Sprintf("service %s depends on itself", c.Path[0]), "remove this dependency", v.dependencyPath(v.Services[c.Path[0]], c.Path[1])...)
	default:
		v.fail("cycle", "services depend on each other: "+strings.Join(c.Path, " → "), "remove one of these dependencies",
			v.dependencyPath(v.Services[c.Path[0]], c.Path[1])...)
	}
}

// containerNames finds a container_name that two services have.
func (v *validator) containerNames() {
	taken := make(map[string]string)
	for _, name := range v.ServiceNames() {
		s := v.Services[name]
		c := s.ContainerName
		if s.GetScale() == 0 {
			continue
		}
		if other, twice := taken[c]; twice && c != "" {
			v.fail("duplicate-container-name", fmt.Sprintf("container_name %s is used by service %s already", c, other), "choose another name",
				"services", name, "container_name")
		}
		taken[c] = name
	}
}

// jobs reports names that a service and a job share.
func (v *validator) jobs() {
	for _, name := range slices.Sorted(maps.Keys(v.AllJobs())) {
		if v.hasService(name) {
			v.fail("duplicate-name", fmt.Sprintf("%s is the name of a service and of a job", name), "choose another name for one of them", "jobs", name)
		}
	}
}
