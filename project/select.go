package project

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Select returns the project with only the named services and, unless alone is set, everything that they depend on.
// Services that a profile keeps out are let in when they are named, and checked as Load checks the others. No names: the
// project as it is.
func (p *Project) Select(services []string, alone bool) (*Project, error) {
	if len(services) == 0 {
		return p, nil
	}
	enabled, err := p.enabled(services)
	if err != nil {
		return nil, err
	}
	out := *p
	out.Project = only(enabled, services, alone)
	if enabled != p.Project && !p.options.NoConsistency {
		mistakes, _ := validate(&out)
		if err := mistakes.Sorted(); err != nil {
			return nil, err
		}
	}
	return &out, out.readFiles(p)
}

// Enable returns the project with the named services on that profiles keep out, and whatever else their profiles let in.
// Those named, with what they depend on, are checked as Load checks the others.
func (p *Project) Enable(services []string) (*Project, error) {
	if _, err := p.Select(services, false); err != nil {
		return nil, err
	}
	enabled, err := p.enabled(services)
	if err != nil || enabled == p.Project {
		return p, err
	}
	out := *p
	out.Project = enabled
	return &out, out.readFiles(p)
}

// enabled is the model with the profiles of the named services on. It is the same one if they are on already.
func (p *Project) enabled(services []string) (*types.Project, error) {
	off := false
	for _, name := range services {
		if !p.hasService(name) {
			return nil, Errors{p.undefinedService(name)}
		}
		_, on := p.Services[name]
		off = off || !on
	}
	if !off {
		return p.Project, nil
	}
	return p.WithServicesEnabled(services...)
}

// only is the project with the named services and, unless alone is set, what they depend on. The others are off.
func only(p *types.Project, services []string, alone bool) *types.Project {
	selected := make(map[string]bool)
	for rest := slices.Clone(services); len(rest) > 0; {
		name := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		s, on := p.Services[name]
		if selected[name] || !on {
			continue
		}
		selected[name] = true
		if !alone {
			rest = slices.AppendSeq(rest, maps.Keys(s.DependsOn))
		}
	}
	out := *p
	out.Services, out.DisabledServices = make(types.Services), maps.Clone(p.DisabledServices)
	if out.DisabledServices == nil {
		out.DisabledServices = make(types.Services)
	}
	for name, s := range p.Services {
		if !selected[name] {
			out.DisabledServices[name] = s
			continue
		}
		if s.DependsOn = maps.Clone(s.DependsOn); s.DependsOn != nil {
			maps.DeleteFunc(s.DependsOn, func(on string, d types.ServiceDependency) bool {
				return !selected[on] && (alone || !d.Required)
			})
		}
		out.Services[name] = s
	}
	return &out
}

func (p *Project) hasService(name string) bool {
	_, on := p.Services[name]
	_, off := p.DisabledServices[name]
	return on || off
}

func (p *Project) undefinedService(name string) *Error {
	known := slices.Concat(p.ServiceNames(), p.DisabledServiceNames())
	slices.Sort(known)
	return &Error{Rule: "undefined-service", Problem: "no such service: " + name, Fix: suggest(name, known)}
}
