package plan

import (
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// What a provider or a model runner gives is part of what the containers are made of that depend on it. So their programs run
// first, and only the next round decides about those containers.

// asksOthers marks the service as one whose containers only other programs decide about, and adds the operations for its
// models.
func (u *up) asksOthers(s *service) {
	_, known := u.options.Given.Variables[s.Name]
	s.pending = s.Provider != nil && !known
	for _, use := range s.Models {
		if _, known := u.options.Given.Endpoints[use.Key]; known || len(s.Containers) == 0 {
			continue
		}
		op := &ServeModel{Header: header(s.Name), Model: use.Model}
		u.add("serve", op, Subject{Model, use.Key}, "its address is part of what the containers of "+s.Name+" are made of")
		s.unserved = true
	}
}

// provided says that a provider that the service depends on has not run yet.
func (u *up) provided(s *service) bool {
	return !slices.ContainsFunc(s.DependsOn, func(dep desired.Dependency) bool {
		other := u.services[dep.Service]
		return other != nil && other.pending
	})
}

// runProvider adds the run of the service's provider, behind what the service depends on.
func (u *up) runProvider(s *service) {
	if !s.pending || s.later {
		return
	}
	op := u.provider(s.Service, ProviderUp)
	if !u.options.NoStart {
		behind := u.await(s, 1)
		op.Needs, op.After = behind.Needs, behind.After
	}
	u.add("bring up", op, Subject{Provider, s.Name}, "the provider knows whether there is something to do")
}

func (b *builder) provider(s *desired.Service, do ProviderCommand) *RunProvider {
	return &RunProvider{Header: header(s.Name), Project: b.plan.Project, Provider: *s.Provider, Do: do}
}

// withProviders are the names and the providers that they need, which run whatever else is left out: without them it is not
// known what the containers are made of.
func (u *up) withProviders(names []string) []string {
	out, seen := slices.Clone(names), set(names)
	for _, name := range names {
		s := u.index.services[name]
		if s == nil {
			continue
		}
		for _, dep := range s.DependsOn {
			if other := u.index.services[dep.Service]; other != nil && other.Provider != nil && !seen[dep.Service] {
				out, seen[dep.Service] = append(out, dep.Service), true
			}
		}
	}
	return out
}

// endProviders has the providers of the services (none: all) take down or stop what they provide: after the containers that
// depend on it are over, and before those that it depends on itself. over are the last operations of each service, ending the
// first ones.
func (b *builder) endProviders(do ProviderCommand, services []string, over map[string][]string, ending map[string][]*Header, cause string) {
	if b.desired == nil {
		return
	}
	runs := make(map[string]*RunProvider)
	for i := range b.desired.Services {
		s := &b.desired.Services[i]
		if s.Provider == nil || len(services) > 0 && !slices.Contains(services, s.Name) {
			continue
		}
		op := b.provider(s, do)
		runs[s.Name] = op
		verb := "take down"
		if do == ProviderStop {
			verb = "stop"
		}
		id := b.add(verb, op, Subject{Provider, s.Name}, cause)
		over[s.Name] = []string{id}
		ending[s.Name] = []*Header{&op.Header}
	}
	for _, s := range b.desired.Services {
		for _, dep := range s.DependsOn {
			if runs[dep.Service] == nil && runs[s.Name] == nil {
				continue // two services of containers: their order is known
			}
			for _, h := range ending[dep.Service] {
				h.After = append(h.After, over[s.Name]...)
			}
		}
	}
}

// byService are the operations on containers, by the containers' services.
func byService(containers []state.Container, ops map[string]string) map[string][]string {
	out := make(map[string][]string)
	for _, c := range containers {
		if id := ops[c.ID]; id != "" {
			out[c.Service] = append(out[c.Service], id)
		}
	}
	return out
}

// headsOf are the headers of the operations, or of the hooks that come before them.
func (b *builder) headsOf(ops map[string][]string) map[string][]*Header {
	out := make(map[string][]*Header)
	for service, ids := range ops {
		for _, id := range ids {
			out[service] = append(out[service], b.headOf(id))
		}
	}
	return out
}

// onlyContainers leaves out the services that a provider provides. ok is false if none is left of some.
func onlyContainers(d *desired.Project, services []string) (out []string, ok bool) {
	out = slices.DeleteFunc(slices.Clone(services), func(name string) bool {
		if d == nil {
			return false
		}
		s := d.Service(name)
		return s != nil && s.Provider != nil
	})
	return out, len(out) > 0 || len(services) == 0
}
