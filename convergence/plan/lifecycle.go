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
	asked, there := make(map[string]bool), make(map[string]bool)
	for _, name := range services {
		asked[name] = true
	}
	for _, c := range s.Containers {
		there[c.Service] = true
	}
	for _, name := range services {
		if !there[name] {
			return nil, engine.Errorf(engine.ErrNotFound, "service %s has no container", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Containers), func(c state.Container) bool {
		return c.OneOff || len(services) > 0 && !asked[c.Service]
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
	b.startInOrder(b.crew(list), starts, started)
	for _, c := range list {
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

// startInOrder puts starts behind those of dependencies, and behind what these have to reach.
func (b *builder) startInOrder(c *crew, starts map[string]*StartContainer, started map[string]string) {
	for _, name := range c.services {
		starting := make([]*Header, 0, len(c.of[name]))
		for _, one := range c.of[name] {
			if op := starts[one.ID]; op != nil {
				starting = append(starting, &op.Header)
			}
		}
		if len(starting) == 0 {
			continue
		}
		for _, dep := range c.needs[name] {
			ids := b.reaching(c.of[dep.Service], dep.Condition, started)
			needs, after := b.gateOf(gathered[dep.Condition], dep.Service, ids, len(starting)), []string(nil)
			if !dep.Required {
				needs, after = nil, b.softGateOf(gathered[dep.Condition], dep.Service, ids, len(starting))
			}
			for _, h := range starting {
				h.Needs, h.After = append(h.Needs, needs...), append(h.After, after...)
			}
		}
	}
}

// reaching are the operations after which the containers are as their dependents need them.
func (b *builder) reaching(containers []state.Container, condition desired.Condition, started map[string]string) []string {
	var out []string
	for _, c := range containers {
		ids := nonEmpty(started[c.ID])
		switch {
		case condition == desired.Healthy && (c.Health != state.Healthy || len(ids) > 0):
			op := &WaitHealthy{Header: header(c.Service), Container: c.ID}
			ids = []string{b.add("wait for the health of", op, Subject{Container, c.Name}, "", ids...)}
		case condition == desired.Completed && len(ids) > 0:
			op := &WaitCompleted{Header: header(c.Service), Container: c.ID}
			ids = []string{b.add("wait for the completion of", op, Subject{Container, c.Name}, "", ids...)}
		}
		out = append(out, ids...)
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

// Restart plans to restart containers, dependencies first, what depends on them with restart: true, and what lives in their
// namespaces: it would stay in those of their last lives.
func Restart(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	list, err := targets(s, o.Services)
	if err != nil {
		return nil, err
	}
	b := newBuilder(d, s)
	list = append(list, b.dragged(list, !o.NoDeps)...)
	heads, ends := make(map[string]string), make(map[string]string)
	for _, c := range list {
		first, needs := b.preStop(c, nil)
		op := &RestartContainer{Header: header(c.Service), Container: c.ID, Timeout: o.Timeout}
		id := b.add("restart", op, Subject{Container, c.Name}, "", needs...)
		b.heads[id] = first
		heads[c.ID], ends[c.ID] = id, b.postStart(b.hooked(c), c.ID, c.Name, id)
	}
	b.follow(b.crew(list), anews, heads, ends, false)
	return b.plan.sort(), nil
}

// dragged are running containers of other services that restart with one of the list, or with another one of them.
func (b *builder) dragged(list []state.Container, dependents bool) []state.Container {
	if b.desired == nil {
		return nil
	}
	in := make(map[string]bool)
	for _, c := range list {
		in[c.Service] = true
	}
	var out []state.Container
	for more := true; more; {
		more = false
		for i := range b.desired.Services {
			s := &b.desired.Services[i]
			if in[s.Name] || !b.restartsWith(s, in, dependents) {
				continue
			}
			for _, c := range b.state.Of(s.Name) {
				if c.Status == state.Running {
					out = append(out, c)
					in[s.Name], more = true, true
				}
			}
		}
	}
	return out
}

// restartsWith says that the service has to restart with one of the others.
func (b *builder) restartsWith(s *desired.Service, others map[string]bool, dependents bool) bool {
	for _, dep := range s.DependsOn {
		if dependents && dep.Restart && others[dep.Service] {
			return true
		}
	}
	return slices.ContainsFunc(s.Shares, func(name string) bool {
		other := b.index.services[name]
		return others[name] && other != nil && inNamespacesOf(s, other)
	})
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
