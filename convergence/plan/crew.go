package plan

import (
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// crew is the containers that a plan changes without making any, with the order of their services.
type crew struct {
	services []string                        // sorted as the containers are
	of       map[string][]state.Container    // by service
	needs    map[string][]desired.Dependency // on other services of the crew, without circles
}

func (b *builder) crew(list []state.Container) *crew {
	c := &crew{of: make(map[string][]state.Container), needs: make(map[string][]desired.Dependency)}
	for _, one := range list {
		if c.of[one.Service] == nil {
			c.services = append(c.services, one.Service)
		}
		c.of[one.Service] = append(c.of[one.Service], one)
	}
	for _, name := range c.services {
		for _, dep := range b.dependenciesOf(name, c.of[name]) {
			if c.of[dep.Service] != nil && dep.Service != name {
				c.needs[name] = append(c.needs[name], dep)
			}
		}
	}
	c.breakCircles()
	return c
}

// dependenciesOf are what the service depends on: by the project's file, else by the labels of its containers.
func (b *builder) dependenciesOf(name string, containers []state.Container) []desired.Dependency {
	var out []desired.Dependency
	add := func(services []string) {
		for _, other := range services {
			out = append(out, desired.Dependency{Service: other, Condition: desired.Started, Required: true})
		}
	}
	if s := b.index.services[name]; s != nil {
		out = slices.Clone(s.DependsOn)
		add(s.Shares)
		return out
	}
	known := make(map[string]bool)
	for _, c := range containers { // they have the same labels, or nearly
		add(slices.DeleteFunc(slices.Clone(c.DependsOn), func(other string) bool { return known[other] }))
		for _, other := range c.DependsOn {
			known[other] = true
		}
	}
	return out
}

// breakCircles takes out the dependencies that close a circle. A Compose file has none, but labels can say anything.
func (c *crew) breakCircles() {
	const onPath, done = 1, 2
	seen := make(map[string]int, len(c.services))
	var visit func(name string)
	visit = func(name string) {
		seen[name] = onPath
		c.needs[name] = slices.DeleteFunc(c.needs[name], func(dep desired.Dependency) bool {
			if seen[dep.Service] == 0 {
				visit(dep.Service)
			}
			return seen[dep.Service] == onPath
		})
		seen[name] = done
	}
	for _, name := range c.services {
		if seen[name] == 0 {
			visit(name)
		}
	}
}

// follow puts the heads of some operations on containers behind the ends of others, whatever comes of these: by container, those
// of the crew whose service depends on another one behind the other one's, or with backwards the other way round.
func (b *builder) follow(c *crew, noun string, heads, ends map[string]string, backwards bool) {
	for _, name := range c.services {
		for _, dep := range c.needs[name] {
			first, then := dep.Service, name
			if backwards {
				first, then = name, dep.Service
			}
			before, after := c.pick(first, ends), c.pick(then, heads)
			ids := b.softGateOf(noun, first, before, len(after))
			for _, id := range after {
				h := b.headOf(id)
				h.After = append(h.After, ids...)
			}
		}
	}
}

// pick are the operations on the service's containers.
func (c *crew) pick(service string, ops map[string]string) []string {
	var out []string
	for _, one := range c.of[service] {
		if id := ops[one.ID]; id != "" {
			out = append(out, id)
		}
	}
	return out
}
