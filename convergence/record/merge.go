package record

import (
	"maps"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/internal/dag"
)

// Over is the record put over an older one of the same project, or nil. A run on all services takes its place, but for services
// that a profile keeps out by now: they go on as they were. Of a run on some services, these and what they depend on take the
// place of what was known of them.
func (r *Record) Over(before *Record) *Record {
	all := len(r.Up.Services) == 0
	if before == nil {
		before = &Record{Desired: &desired.Project{}}
	}
	covered := r.Covered()
	stays := func(name string) bool {
		return !slices.Contains(covered, name) && (!all || slices.Contains(r.Desired.Disabled, name))
	}
	if all && !slices.ContainsFunc(before.Desired.Services, func(s desired.Service) bool { return stays(s.Name) }) {
		return r
	}
	out := *r
	out.Up.Services = nil
	out.Images = overlay(before.Images, r.Images)
	out.Given = before.Given.Merge(r.Given)
	out.Running = maps.Clone(before.Running)
	if out.Running == nil {
		out.Running = make(map[string]string)
	}
	for _, name := range covered {
		delete(out.Running, name)
		if id := r.Running[name]; id != "" {
			out.Running[name] = id
		}
	}
	out.Desired = mergeProjects(before.Desired, r.Desired, covered, stays)
	return &out
}

func overlay(below, above map[string]string) map[string]string {
	out := maps.Clone(below)
	if out == nil {
		out = make(map[string]string, len(above))
	}
	maps.Copy(out, above)
	return out
}

// Covered are the services that the run was about, sorted: those that were asked for and, as far as it was about them, those
// that they depend on.
func (r *Record) Covered() []string {
	var g dag.Graph
	for i := range r.Desired.Services {
		s := &r.Desired.Services[i]
		needs := slices.Clone(s.Shares)
		for _, dep := range s.DependsOn {
			needs = append(needs, dep.Service)
		}
		g.Add(s.Name, needs...)
	}
	out := r.Up.Services
	switch {
	case len(out) == 0:
		out = g.Nodes()
	case !r.Up.NoDeps:
		out = g.Closure(out...)
	}
	out = slices.DeleteFunc(slices.Clone(out), func(name string) bool { return r.Desired.Service(name) == nil })
	slices.Sort(out)
	return slices.Compact(out)
}

// mergeProjects takes the covered services, and what they use, from the new project and those that stay from the old one.
func mergeProjects(old, now *desired.Project, covered []string, stays func(string) bool) *desired.Project {
	out := &desired.Project{Name: now.Name}
	networks, volumes := make(map[string]bool), make(map[string]bool)
	for _, s := range old.Services {
		if stays(s.Name) {
			out.Services = append(out.Services, s)
		}
	}
	for _, name := range covered {
		s := now.Service(name)
		out.Services = append(out.Services, *s)
		markUsed(s, networks, volumes)
	}
	slices.SortFunc(out.Services, func(a, b desired.Service) int { return strings.Compare(a.Name, b.Name) })
	out.Networks = mergeByKey(old.Networks, now.Networks, networks, func(n desired.Network) string { return n.Key })
	out.Volumes = mergeByKey(old.Volumes, now.Volumes, volumes, func(v desired.Volume) string { return v.Key })
	for _, s := range now.Services { // what nothing is known about is no orphan either
		out.Disabled = append(out.Disabled, s.Name)
	}
	out.Disabled = append(append(out.Disabled, old.Disabled...), now.Disabled...)
	slices.Sort(out.Disabled)
	out.Disabled = slices.Compact(slices.DeleteFunc(out.Disabled, func(name string) bool { return out.Service(name) != nil }))
	return out
}

func markUsed(s *desired.Service, networks, volumes map[string]bool) {
	mark := func(into map[string]bool, keys []string) {
		for _, key := range keys {
			into[key] = true
		}
	}
	mark(networks, s.Networks)
	mark(volumes, s.Volumes)
	for i := range s.PreStart {
		mark(networks, s.PreStart[i].Networks)
		mark(volumes, s.PreStart[i].Volumes)
	}
}

func mergeByKey[T any](old, now []T, used map[string]bool, key func(T) string) []T {
	byKey := make(map[string]T)
	for _, v := range old {
		byKey[key(v)] = v
	}
	for _, v := range now {
		if used[key(v)] {
			byKey[key(v)] = v
		}
	}
	var out []T
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		out = append(out, byKey[k])
	}
	return out
}
