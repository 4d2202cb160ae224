package project

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/internal/dag"
	"stackrun.dev/stack/project/internal/grammar"
)

// validate is phase 6: what only the merged model can tell.
func validate(p *Project) Errors {
	v := &validator{Project: p}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		v.service(s)
		v.references(s)
		v.dependencies(s)
	}
	v.objects()
	v.cycle()
	v.published()
	v.containerNames()
	return v.errors
}

type validator struct {
	*Project
	errors Errors
}

func (v *validator) fail(problem, fix string, path ...string) {
	v.errors = append(v.errors, v.Mistake(problem, fix, path...))
}

func (v *validator) service(s types.ServiceConfig) {
	at := func(path ...string) []string { return append([]string{"services", s.Name}, path...) }
	if s.Build == nil && s.Image == "" && s.Provider == nil {
		v.fail(fmt.Sprintf("service %s has neither an image nor a build", s.Name), "add image: or build:", at()...)
	}
	if s.Build != nil && s.Build.DockerfileInline != "" && s.Build.Dockerfile != "" {
		v.fail("dockerfile and dockerfile_inline exclude each other", "remove one of the two", at("build", "dockerfile_inline")...)
	}
	if s.NetworkMode != "" && len(s.Networks) > 0 {
		v.fail("network_mode and networks exclude each other", "remove one of the two", at("network_mode")...)
	}
	if s.Scale != nil && s.Deploy != nil && s.Deploy.Replicas != nil && *s.Scale != *s.Deploy.Replicas {
		v.fail("scale and deploy.replicas contradict each other", "remove one of the two", at("scale")...)
	}
	if s.GetScale() < 0 {
		v.fail("the scale cannot be below 0", "", at("scale")...)
	}
	if s.GetScale() > 1 && s.ContainerName != "" {
		problem := fmt.Sprintf("a container_name can be used once only, and the scale is %d", s.GetScale())
		v.fail(problem, "remove container_name", at("container_name")...)
	}
	if h := s.HealthCheck; h != nil && len(h.Test) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, h.Test[0]) {
		v.fail(fmt.Sprintf("a health check's test begins with CMD, CMD-SHELL or NONE, not with %q", h.Test[0]), "", at("healthcheck", "test")...)
	}
	v.limits(s, at)
}

// limits compares the two places in which a limit can be stated.
func (v *validator) limits(s types.ServiceConfig, at func(...string) []string) {
	if s.Deploy == nil {
		return
	}
	both := func(a, b string) { v.fail(a+" and "+b+" contradict each other", "remove one of the two", at(a)...) }
	if l := s.Deploy.Resources.Limits; l != nil {
		if s.CPUS != 0 && l.NanoCPUs.Value() != 0 && l.NanoCPUs.Value() != s.CPUS {
			both("cpus", "deploy.resources.limits.cpus")
		}
		if s.MemLimit != 0 && l.MemoryBytes != 0 && l.MemoryBytes != s.MemLimit {
			both("mem_limit", "deploy.resources.limits.memory")
		}
		if s.PidsLimit != 0 && l.Pids != 0 && l.Pids != s.PidsLimit {
			both("pids_limit", "deploy.resources.limits.pids")
		}
	}
	if r := s.Deploy.Resources.Reservations; r != nil && s.MemReservation != 0 && r.MemoryBytes != 0 && r.MemoryBytes != s.MemReservation {
		both("mem_reservation", "deploy.resources.reservations.memory")
	}
}

// references looks up the networks, volumes, configs and secrets that the service names.
func (v *validator) references(s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		if _, ok := v.Networks[name]; !ok {
			v.undefined("network", name, v.NetworkNames(), "services", s.Name, "networks", name)
		}
	}
	for i, m := range s.Volumes {
		if _, ok := v.Volumes[m.Source]; m.Type == types.VolumeTypeVolume && m.Source != "" && !ok {
			v.undefined("volume", m.Source, v.VolumeNames(), "services", s.Name, "volumes", v.item(m.Source, i, "services", s.Name, "volumes"))
		}
	}
	for i, c := range s.Configs {
		if _, ok := v.Configs[c.Source]; !ok {
			v.undefined("config", c.Source, v.ConfigNames(), "services", s.Name, "configs", v.item(c.Source, i, "services", s.Name, "configs"))
		}
	}
	for i, c := range s.Secrets {
		if _, ok := v.Secrets[c.Source]; !ok {
			v.undefined("secret", c.Source, v.SecretNames(), "services", s.Name, "secrets", v.item(c.Source, i, "services", s.Name, "secrets"))
		}
	}
	if s.Build == nil {
		return
	}
	for i, c := range s.Build.Secrets {
		if _, ok := v.Secrets[c.Source]; !ok {
			v.undefined("secret", c.Source, v.SecretNames(), "services", s.Name, "build", "secrets", strconv.Itoa(i))
		}
	}
}

// item is the step that finds a list's entry by the name that it begins with; merged lists may be longer than each file's.
func (v *validator) item(name string, index int, path ...string) string {
	full := append(slices.Clone(path), name)
	for _, s := range v.sources {
		if _, n := s.find(full); n == len(full) {
			return name
		}
	}
	return strconv.Itoa(index)
}

func (v *validator) undefined(kind, name string, known []string, path ...string) {
	fix := suggest(name, known)
	if fix == "" {
		fix = fmt.Sprintf("define it at the top level:\n  %ss:\n    %s:", kind, name)
	}
	v.fail(fmt.Sprintf("%s %s is not defined", kind, name), fix, path...)
}

// dependencies looks up the services that the service names.
func (v *validator) dependencies(s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		if _, on := v.Services[name]; on || !d.Required {
			continue
		}
		path := v.dependencyPath(s, name)
		if off, ok := v.DisabledServices[name]; ok {
			problem := fmt.Sprintf("service %s depends on %s, which is off: its profiles are %s", s.Name, name, strings.Join(off.Profiles, ", "))
			v.fail(problem, "turn a profile on with --profile, or write required: false", path...)
			continue
		}
		known := slices.Concat(v.ServiceNames(), v.DisabledServiceNames())
		slices.Sort(known)
		v.fail(fmt.Sprintf("service %s is not defined", name), suggest(name, known), path...)
	}
}

// dependencyPath finds how the service names the other one: depends_on is also filled from links, namespaces and volumes.
func (v *validator) dependencyPath(s types.ServiceConfig, name string) []string {
	base := []string{"services", s.Name}
	for attribute, value := range map[string]string{"network_mode": s.NetworkMode, "ipc": s.Ipc, "pid": s.Pid, "uts": s.Uts, "cgroup": s.Cgroup} {
		if value == types.ServicePrefix+name {
			return append(base, attribute)
		}
	}
	for _, attribute := range []string{"depends_on", "links", "volumes_from"} {
		path := append(slices.Clone(base), attribute, name)
		for _, src := range v.sources {
			if _, n := src.find(path); n == len(path) {
				return path
			}
		}
	}
	return append(base, "depends_on")
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
		v.fail(fmt.Sprintf("%s.%s has no content", kind, name), "give it one of "+choice, kind, name)
	case given > 1:
		v.fail(fmt.Sprintf("%s.%s has more than one source", kind, name), "give it one of "+choice, kind, name)
	}
}

func (v *validator) cycle() {
	var g dag.Graph
	for _, name := range v.ServiceNames() {
		g.Add(name, slices.Sorted(maps.Keys(v.Services[name].DependsOn))...)
	}
	_, err := g.Sort()
	if c, ok := errors.AsType[*dag.CycleError](err); ok {
		s := v.Services[c.Path[0]]
		v.fail("services depend on each other: "+strings.Join(c.Path, " → "), "remove one of these dependencies", v.dependencyPath(s, c.Path[1])...)
	}
}

type publication struct {
	service string
	types.ServicePortConfig
}

// published finds two services that want the same port of the host.
func (v *validator) published() {
	taken := make(map[string][]publication)
	for _, name := range v.ServiceNames() {
		s := v.Services[name]
		for i, port := range s.Ports {
			if port.Published == "" || strings.Contains(port.Published, "-") {
				continue
			}
			path := []string{"services", name, "ports", v.portItem(name, i)}
			if s.GetScale() > 1 {
				problem := fmt.Sprintf("port %s of the host can be published by one container only, and the scale is %d", port.Published, s.GetScale())
				v.fail(problem, "publish a range, or leave the host port out", path...)
			}
			key := port.Published + "/" + port.Protocol
			for _, other := range taken[key] {
				if sameAddress(other.HostIP, port.HostIP) && !(other.service == name && other.Target == port.Target) {
					v.fail(fmt.Sprintf("port %s of the host is published by service %s already", port.Published, other.service), "choose another port", path...)
					break
				}
			}
			taken[key] = append(taken[key], publication{name, port})
		}
	}
}

func sameAddress(a, b string) bool {
	wildcard := func(s string) bool { return s == "" || s == "0.0.0.0" || s == "::" }
	return a == b || wildcard(a) || wildcard(b)
}

// portItem is the index of the port in its file. Ranges in the short form become several ports of the model.
func (v *validator) portItem(service string, index int) string {
	port := v.Services[service].Ports[index]
	for _, s := range v.sources {
		list, n := s.find([]string{"services", service, "ports"})
		if n != 3 {
			continue
		}
		for i, item := range resolveAlias(list.value).Content {
			short, _ := grammar.ParsePorts(item.Value)
			host := strconv.Itoa(short.Host.First)
			if long, ok := child(item, "published"); ok {
				host = long.value.Value
			}
			if host == port.Published {
				return strconv.Itoa(i)
			}
		}
	}
	return strconv.Itoa(index)
}

// containerNames finds a container_name that two services have.
func (v *validator) containerNames() {
	taken := make(map[string]string)
	for _, name := range v.ServiceNames() {
		c := v.Services[name].ContainerName
		if other, twice := taken[c]; twice && c != "" {
			v.fail(fmt.Sprintf("container_name %s is used by service %s already", c, other), "choose another name", "services", name, "container_name")
		}
		taken[c] = name
	}
}
