package project

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

func index(i int) string { return strconv.Itoa(i) }

// references looks up the networks, volumes, configs, secrets and models that the service names.
func (v *validator) references(s types.ServiceConfig) {
	at := func(path ...string) []string { return append([]string{"services", s.Name}, path...) }
	if s.NetworkMode == "" { // beside it, networks are a mistake anyway
		for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
			lookUp(v, "network", v.Networks, name, at("networks", name))
		}
	}
	for i, m := range s.Volumes {
		if m.Type == types.VolumeTypeVolume && m.Source != "" {
			lookUp(v, "volume", v.Volumes, m.Source, v.item(m.Source, i, at("volumes")))
		}
	}
	for i, c := range s.Configs {
		lookUp(v, "config", v.Configs, c.Source, v.item(c.Source, i, at("configs")))
	}
	for i, c := range s.Secrets {
		lookUp(v, "secret", v.Secrets, c.Source, v.item(c.Source, i, at("secrets")))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		lookUp(v, "model", v.Models, name, at("models", name))
	}
	if c := s.CredentialSpec; c != nil && c.Config != "" {
		lookUp(v, "config", v.Configs, c.Config, at("credential_spec", "config"))
	}
	if s.Build != nil {
		v.buildReferences(s.Build, at)
	}
}

func (v *validator) buildReferences(b *types.BuildConfig, at func(...string) []string) {
	for i, c := range b.Secrets {
		lookUp(v, "secret", v.Secrets, c.Source, v.item(c.Source, i, at("build", "secrets")))
	}
	for _, context := range slices.Sorted(maps.Keys(b.AdditionalContexts)) {
		name, ok := strings.CutPrefix(b.AdditionalContexts[context], types.ServicePrefix)
		if !ok {
			continue
		}
		path := at("build", "additional_contexts", context)
		other, known := v.AllServices()[name]
		switch {
		case !known:
			v.undefinedServiceAt(name, path)
		case other.Build == nil:
			v.fail("undefined-build", fmt.Sprintf("service %s is not built, so that it is no build context", name), "add build: to it, or write docker-image://IMAGE", path...)
		}
	}
}

// implied says whether nobody has to define the name: the default network is there by itself, and a variable that was left
// as it is written may stand for anything.
func (v *validator) implied(kind, name string) bool {
	return kind == "network" && name == "default" || v.options.NoInterpolate && strings.Contains(name, "$")
}

// lookUp reports a name that is not among those which are defined.
func lookUp[M ~map[string]V, V any](v *validator, kind string, defined M, name string, path []string) {
	if _, ok := defined[name]; ok || v.implied(kind, name) || v.full() {
		return
	}
	fix := suggest(name, slices.Sorted(maps.Keys(defined)))
	if fix == "" {
		fix = fmt.Sprintf("define it at the top level:\n  %ss:\n    %s:", kind, name)
	}
	v.fail("undefined-"+kind, fmt.Sprintf("%s %s is not defined", kind, name), fix, path...)
}

// item is the path of a list's entry: by the name that it begins with, for merged lists may be longer than each file's, or
// else by its index.
func (v *validator) item(name string, i int, path []string) []string {
	if full := append(slices.Clone(path), name); v.has(full...) {
		return full
	}
	return append(slices.Clone(path), index(i))
}

// dependencies looks up the services that the service names.
func (v *validator) dependencies(s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		path := v.dependencyPath(s, name)
		other, on := v.Services[name]
		switch off, isOff := v.DisabledServices[name]; {
		case on && d.Condition == types.ServiceConditionHealthy && disabled(other.HealthCheck):
			v.fail("no-healthcheck", fmt.Sprintf("service %s waits until %s is healthy, whose health check is switched off", s.Name, name),
				"switch the health check on, or write condition: service_started", path...)
		case on || !d.Required:
		case isOff:
			problem := fmt.Sprintf("service %s depends on %s, which is off: its profiles are %s", s.Name, name, strings.Join(off.Profiles, ", "))
			v.fail("profile-off", problem, "turn a profile on with --profile, or write required: false", path...)
		case v.isJob(name):
			v.fail("undefined-service", fmt.Sprintf("service %s depends on %s, which is a job", s.Name, name), "services depend on services only", path...)
		default:
			v.undefinedServiceAt(name, path)
		}
	}
}

func disabled(h *types.HealthCheckConfig) bool {
	return h != nil && (h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE")
}

func (v *validator) isJob(name string) bool {
	_, ok := v.AllJobs()[name]
	return ok
}

func (v *validator) undefinedServiceAt(name string, path []string) {
	if v.full() {
		return
	}
	known := slices.Concat(v.ServiceNames(), v.DisabledServiceNames())
	slices.Sort(known)
	v.fail("undefined-service", fmt.Sprintf("service %s is not defined", name), suggest(name, known), path...)
}

// dependencyPath finds how the service names the other one: depends_on is also filled from links, namespaces, volumes_from
// and builds.
func (v *validator) dependencyPath(s types.ServiceConfig, name string) []string {
	base := []string{"services", s.Name}
	for _, attribute := range []string{"depends_on", "links", "volumes_from"} {
		if path := append(slices.Clone(base), attribute, name); v.has(path...) {
			return path
		}
	}
	for _, n := range []struct{ attribute, value string }{
		{"network_mode", s.NetworkMode}, {"ipc", s.Ipc}, {"pid", s.Pid}, {"uts", s.Uts}, {"cgroup", s.Cgroup},
	} {
		if n.value == types.ServicePrefix+name {
			return append(base, n.attribute)
		}
	}
	if s.Build != nil {
		for context, value := range s.Build.AdditionalContexts {
			if value == types.ServicePrefix+name {
				return append(base, "build", "additional_contexts", context)
			}
		}
	}
	return append(base, "depends_on")
}
