package plan

import (
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// index answers in constant time what is asked for every service and every container, so that the cost of a plan grows with
// what there is and not with its square.
type index struct {
	services   map[string]*desired.Service  // by name
	disabled   map[string]bool              // names of services that a profile keeps out
	hooks      map[string][]state.Container // what is left of pre_start hooks, by service
	onNetwork  map[string][]state.Container // by the network's name
	holdsPort  map[string][]state.Container // by the host port
	builtImage map[string]bool              // references that a service of the project builds
	keys       map[string]string            // of the networks, by their names
}

// newIndex looks once at everything. d may be nil.
func newIndex(d *desired.Project, s *state.Project) *index {
	x := &index{
		disabled: make(map[string]bool), hooks: make(map[string][]state.Container), onNetwork: make(map[string][]state.Container),
		holdsPort: make(map[string][]state.Container), builtImage: make(map[string]bool), keys: make(map[string]string),
	}
	if d != nil {
		x.desired(d)
	}
	for _, c := range s.Containers {
		if c.Hook == desired.HookPreStart {
			x.hooks[c.Service] = append(x.hooks[c.Service], c)
		}
		for _, port := range c.Ports {
			x.holdsPort[port] = append(x.holdsPort[port], c)
		}
	}
	return x
}

func (x *index) desired(d *desired.Project) {
	x.services = make(map[string]*desired.Service, len(d.Services))
	for i := range d.Services {
		s := &d.Services[i]
		if x.services[s.Name] == nil {
			x.services[s.Name] = s
		}
		if s.Build != nil {
			x.builtImage[s.Image] = true
		}
	}
	for _, n := range d.Networks {
		x.keys[n.Name] = n.Key
	}
	for _, name := range d.Disabled {
		x.disabled[name] = true
	}
}

// networkKey is what the file calls a network of the engine.
func (x *index) networkKey(project, name string) string {
	if key, ok := x.keys[name]; ok {
		return key
	}
	return strings.TrimPrefix(name, project+"_")
}

// on are the containers on the network. Only plans that recreate a network ask, so it is looked up then.
func (x *index) on(s *state.Project, network string) []state.Container {
	if len(x.onNetwork) == 0 {
		for _, c := range s.Containers {
			for _, name := range c.Networks {
				x.onNetwork[name] = append(x.onNetwork[name], c)
			}
		}
	}
	return x.onNetwork[network]
}
