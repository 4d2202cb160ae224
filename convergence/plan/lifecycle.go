package plan

import (
	"fmt"
	"maps"
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// The plans of this file change what containers do, not which there are. d may be nil when there is no Compose file; then
// the order comes from the containers' labels.

// targets are the containers of the services that were asked for.
func targets(s *state.Project, services []string) ([]state.Container, error) {
	for _, name := range services {
		if !slices.ContainsFunc(s.Containers, func(c state.Container) bool { return c.Service == name }) {
			return nil, engine.Errorf(engine.ErrNotFound, "service %s has no container", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Containers), func(c state.Container) bool {
		return c.OneOff || len(services) > 0 && !slices.Contains(services, c.Service)
	}), nil
}

// Start plans to start containers that do not run, dependencies first, each when its conditions are met.
func Start(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	list, err := targets(s, o.Services)
	if err != nil {
		return nil, err
	}
	b := newBuilder(d, s)
	starts := make(map[string]*StartContainer) // by the container's ID
	started := make(map[string]string)         // the last of its operations, likewise
	for _, c := range list {
		if !c.Status.Alive() {
			op := &StartContainer{Header: header(c.Service), Container: c.ID}
			id := b.add("start", op, Subject{Container, c.Name}, "")
			starts[c.ID], started[c.ID] = op, b.postStart(b.hooked(c), c.ID, c.Name, id)
		}
	}
	for _, c := range list {
		if starts[c.ID] != nil {
			b.startAfter(&starts[c.ID].Header, c, list, started)
		}
		if o.Wait {
			op := &WaitHealthy{Header: header(c.Service), Container: c.ID, OrExited: true}
			b.add("wait for the health of", op, Subject{Container, c.Name}, "", nonEmpty(started[c.ID])...)
		}
	}
	b.preStartAll(list, starts)
	return b.plan.sort(), nil
}

// preStartAll puts pre_start hooks in front of the starts, service by service.
func (b *builder) preStartAll(list []state.Container, starts map[string]*StartContainer) {
	starting, running := make(map[string][]newcomer), make(map[string]bool)
	for _, c := range list {
		if op := starts[c.ID]; op != nil {
			starting[c.Service] = append(starting[c.Service], newcomer{ref: c.ID, name: c.Name, start: op})
		} else {
			running[c.Service] = true
		}
	}
	for _, service := range slices.Sorted(maps.Keys(starting)) {
		var s *desired.Service
		if b.desired != nil {
			s = b.desired.Service(service)
		}
		b.preStart(s, starting[service], running[service], func(*desired.PreStart) string { return "" })
	}
}

// startAfter puts the start behind those of the dependencies, and behind what they have to reach.
func (b *builder) startAfter(h *Header, c state.Container, list []state.Container, starts map[string]string) {
	for _, dep := range conditions(b.desired, c) {
		for _, other := range list {
			if other.Service != dep.Service || other.Service == c.Service {
				continue
			}
			ids := nonEmpty(starts[other.ID])
			switch {
			case dep.Condition == desired.Healthy && (other.Health != state.Healthy || len(ids) > 0):
				op := &WaitHealthy{Header: header(other.Service), Container: other.ID}
				ids = []string{b.add("wait for the health of", op, Subject{Container, other.Name}, "", ids...)}
			case dep.Condition == desired.Completed && len(ids) > 0:
				op := &WaitCompleted{Header: header(other.Service), Container: other.ID}
				ids = []string{b.add("wait for the completion of", op, Subject{Container, other.Name}, "", ids...)}
			}
			if dep.Required {
				h.Needs = append(h.Needs, ids...)
			} else {
				h.After = append(h.After, ids...)
			}
		}
	}
}

// conditions are the container's dependencies, by the project's file, else by its label.
func conditions(d *desired.Project, c state.Container) []desired.Dependency {
	if d != nil {
		if s := d.Service(c.Service); s != nil {
			return s.DependsOn
		}
	}
	var out []desired.Dependency
	for _, name := range c.DependsOn {
		out = append(out, desired.Dependency{Service: name, Condition: desired.Started, Required: true})
	}
	return out
}

// Stop plans to stop containers that run, dependents first, and what providers provide that can be stopped.
func Stop(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	var list []state.Container
	var err error
	if services, some := onlyContainers(d, o.Services); some {
		list, err = targets(s, services)
	}
	if err != nil {
		return nil, err
	}
	b := newBuilder(d, s)
	stops := byService(list, stopAll(b, list, o.Timeout, ""))
	b.endProviders(ProviderStop, o.Services, stops, b.headsOf(stops), "")
	return b.plan.sort(), nil
}

// Restart plans to restart containers, dependencies first, and what depends on them with restart: true.
func Restart(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	list, err := targets(s, o.Services)
	if err != nil {
		return nil, err
	}
	b := newBuilder(d, s)
	if !o.NoDeps {
		list = append(list, dependents(d, s, list)...)
	}
	restarts := make(map[string]string)
	last := make(map[string]string)
	for _, c := range list {
		first, needs := b.preStop(c, nil)
		op := &RestartContainer{Header: header(c.Service), Container: c.ID, Timeout: o.Timeout}
		id := b.add("restart", op, Subject{Container, c.Name}, "", needs...)
		b.heads[id] = first
		restarts[c.ID], last[c.ID] = id, b.postStart(b.hooked(c), c.ID, c.Name, id)
	}
	for _, c := range list {
		for _, name := range dependencies(d, c) {
			for _, other := range list {
				if other.Service == name && name != c.Service {
					h := b.headOf(restarts[c.ID])
					h.After = append(h.After, last[other.ID])
				}
			}
		}
	}
	return b.plan.sort(), nil
}

// dependents are running containers of other services that restart with one of the list.
func dependents(d *desired.Project, s *state.Project, list []state.Container) []state.Container {
	if d == nil {
		return nil
	}
	in := func(service string) bool {
		return slices.ContainsFunc(list, func(c state.Container) bool { return c.Service == service })
	}
	var out []state.Container
	for _, service := range d.Services {
		restart := slices.ContainsFunc(service.DependsOn, func(dep desired.Dependency) bool { return dep.Restart && in(dep.Service) })
		if !restart || in(service.Name) {
			continue
		}
		for _, c := range s.Of(service.Name) {
			if c.Status == state.Running {
				out = append(out, c)
			}
		}
	}
	return out
}

// Kill plans to send a signal to containers that run.
func Kill(s *state.Project, o LifecycleOptions) (*Plan, error) {
	signal := o.Signal
	if signal == "" {
		signal = "SIGKILL"
	}
	return each(s, o, "kill", state.Status.Alive, func(c state.Container) Operation {
		return &KillContainer{Header: header(c.Service), Container: c.ID, Signal: signal}
	})
}

// Pause plans to freeze containers that run.
func Pause(s *state.Project, o LifecycleOptions) (*Plan, error) {
	running := func(status state.Status) bool { return status == state.Running }
	return each(s, o, "pause", running, func(c state.Container) Operation {
		return &PauseContainer{Header: header(c.Service), Container: c.ID}
	})
}

// Unpause plans to thaw containers that are paused.
func Unpause(s *state.Project, o LifecycleOptions) (*Plan, error) {
	paused := func(status state.Status) bool { return status == state.Paused }
	return each(s, o, "unpause", paused, func(c state.Container) Operation {
		return &UnpauseContainer{Header: header(c.Service), Container: c.ID}
	})
}

// Remove plans to remove containers that do not run, or with Stop all of them.
func Remove(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	list, err := targets(s, o.Services)
	if err != nil {
		return nil, err
	}
	b := newBuilder(d, s)
	stops := map[string]string{}
	if o.Stop {
		stops = stopAll(b, list, o.Timeout, "")
	}
	for _, c := range list {
		if o.Stop || !c.Status.Alive() {
			b.remove(c, o.Volumes, "", stops[c.ID])
		}
	}
	return b.plan.sort(), nil
}

func each(s *state.Project, o LifecycleOptions, verb string, concerns func(state.Status) bool, op func(state.Container) Operation) (*Plan, error) {
	list, err := targets(s, o.Services)
	if err != nil {
		return nil, err
	}
	b := newBuilder(nil, s)
	for _, c := range list {
		if concerns(c.Status) {
			b.add(verb, op(c), Subject{Container, c.Name}, "")
		}
	}
	return b.plan.sort(), nil
}

// String is for messages about plans.
func (p *Plan) String() string {
	return fmt.Sprintf("plan of %s: %d operations", p.Project, len(p.Operations))
}
