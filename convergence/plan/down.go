package plan

import (
	"maps"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// Down plans to stop and remove the project's containers, dependents first, and its networks; volumes and images when asked
// for. d may be nil: then everything that carries the project's label is taken down, as far as the labels tell in their
// own order. External networks and volumes are never touched.
func Down(d *desired.Project, s *state.Project, o DownOptions) *Plan {
	b := &down{builder: newBuilder(d, s), options: o, gone: make(map[string]bool)}
	removed := b.containers()
	if len(o.Services) == 0 {
		b.networks(removed)
		if o.Volumes {
			b.volumes(removed)
		}
	}
	b.images(removed)
	return b.plan.sort()
}

const takenDown = "the project is taken down"

type down struct {
	*builder
	options DownOptions
	gone    map[string]bool // IDs of containers that the plan removes
}

// containers removes them and returns the operations.
func (b *down) containers() []string {
	targets := slices.DeleteFunc(slices.Clone(b.state.Containers), func(c state.Container) bool { return !b.concerns(c) })
	stops := stopAll(b.builder, targets, b.options.Timeout, takenDown)
	var removed []string
	removes := make(map[string]string)
	for _, c := range targets {
		removes[c.ID] = b.remove(c, b.options.Volumes, takenDown, stops[c.ID])
		removed = append(removed, removes[c.ID])
		b.gone[c.ID] = true
	}
	heads := b.headsOf(byService(targets, stops))
	b.endProviders(ProviderDown, b.options.Services, byService(targets, removes), heads, takenDown)
	return removed
}

func (b *down) concerns(c state.Container) bool {
	if len(b.options.Services) > 0 {
		return slices.Contains(b.options.Services, c.Service)
	}
	if b.desired == nil || b.options.RemoveOrphans {
		return true
	}
	return b.desired.Service(c.Service) != nil || slices.Contains(b.desired.Disabled, c.Service)
}

// stopAll stops those of the containers that have a process, dependents first, and returns the operations by container ID.
func stopAll(b *builder, containers []state.Container, timeout *int, cause string) map[string]string {
	ids := make(map[string]string)
	for _, c := range containers {
		if c.Status.Alive() {
			ids[c.ID] = b.stop(c, timeout, cause)
		}
	}
	b.follow(b.crew(containers), stops, ids, ids, true)
	return ids
}

func (b *down) networks(removed []string) {
	for _, name := range slices.Sorted(maps.Keys(b.state.Networks)) {
		n := b.state.Networks[name]
		if n.Project != b.plan.Project {
			continue
		}
		var users []string
		for _, c := range b.state.Containers {
			if c.On(name) && !b.gone[c.ID] {
				users = append(users, c.Name)
			}
		}
		if len(users) > 0 {
			b.note("network %s is kept: %s is on it", name, strings.Join(users, ", "))
			continue
		}
		b.add("remove", &RemoveNetwork{Ref: n.ID}, Subject{Network, name}, takenDown, removed...)
	}
}

func (b *down) volumes(removed []string) {
	for _, name := range slices.Sorted(maps.Keys(b.state.Volumes)) {
		if b.state.Volumes[name].Project == b.plan.Project {
			b.add("remove", &RemoveVolume{Name: name}, Subject{Volume, name}, "volumes were asked for", removed...)
		}
	}
}

// images removes those of the services: all, or those that only have the name that the build gave.
func (b *down) images(removed []string) {
	if b.options.Images == KeepImages || b.desired == nil {
		return
	}
	for _, s := range b.desired.Services {
		if len(b.options.Services) > 0 && !slices.Contains(b.options.Services, s.Name) {
			continue
		}
		local := s.Build != nil && (s.Image == b.plan.Project+"-"+s.Name || s.Image == b.plan.Project+"_"+s.Name)
		if _, there := b.state.Images[s.Image]; there && (local || b.options.Images == AllImages) {
			b.add("remove", &RemoveImage{Header: header(s.Name), Ref: s.Image}, Subject{Image, s.Image}, "images were asked for", removed...)
		}
	}
}
