package plan

import (
	"fmt"
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// mostEdges is how many edges may lead from the containers of one service to those of another. Where there would be more,
// all lead through a gate: their number then grows with the sum of the containers and not with the product.
const mostEdges = 64

// nouns of what a gate gathers.
const (
	starts = "start"
	stops  = "stop"
	makes  = "making"
	anews  = "restart"
)

var gathered = map[desired.Condition]string{desired.Started: starts, desired.Healthy: "health", desired.Completed: "completion"}

// gate is what the containers of another service wait for instead of ids, the operations on those of the service: a single
// operation, if that saves edges.
func (u *up) gate(noun string, of *service, ids []string, dependants int) []string {
	return u.gateOf(noun, of.Name, ids, dependants)
}

func (b *builder) gateOf(noun, service string, ids []string, dependants int) []string {
	if len(ids) < 2 || len(ids)*dependants <= mostEdges {
		return ids
	}
	return b.gather("gather the "+noun+" of", service, Header{Needs: ids})
}

// softGate is gate for what may have failed.
func (u *up) softGate(noun string, of *service, ids []string, dependants int) []string {
	return u.softGateOf(noun, of.Name, ids, dependants)
}

func (b *builder) softGateOf(noun, service string, ids []string, dependants int) []string {
	if len(ids) < 2 || len(ids)*dependants <= mostEdges {
		return ids
	}
	return b.gather("gather the "+noun+", also if it fails, of", service, Header{After: ids})
}

func (b *builder) gather(verb, service string, behind Header) []string {
	id := operationID(verb, Service, service)
	if b.ops[id] == nil {
		cause := fmt.Sprintf("others wait for all %d containers", len(behind.Needs)+len(behind.After))
		b.add(verb, &Gate{Header: Header{Service: service, Needs: slices.Clone(behind.Needs), After: slices.Clone(behind.After)}}, Subject{Service, service}, cause)
	}
	return []string{id}
}

// reached are the operations after which the service's containers are as dependants need them, one or none for each.
func (u *up) reached(s *service, c desired.Condition) []string {
	ids, known := s.reached[c]
	if !known {
		for _, m := range s.members {
			ids = append(ids, u.condition(s, m, c)...)
		}
		if s.reached == nil {
			s.reached = make(map[desired.Condition][]string)
		}
		s.reached[c] = ids
	}
	return ids
}

// condition returns the operations after which the container is as the dependent needs it.
func (u *up) condition(s *service, m *member, c desired.Condition) []string {
	switch c {
	case desired.Healthy:
		if m.start == "" && m.now != nil && m.now.Status == state.Running && m.now.Health == state.Healthy {
			return nil
		}
		return []string{u.waitHealthy(s, m, "others wait until it is healthy")}
	case desired.Completed:
		if m.start == "" && m.now != nil && m.now.Status == state.Exited && m.now.ExitCode == 0 {
			return nil
		}
		op := &WaitCompleted{Header: header(s.Name), Container: m.ref()}
		id := u.add("wait for the completion of", op, Subject{Container, m.Name}, "others wait until it has completed", nonEmpty(m.start)...)
		return []string{id}
	}
	return nonEmpty(m.start)
}

// await is what must be so before containers of the service start, as many as there are dependants.
func (u *up) await(s *service, dependants int) Header {
	var h Header
	for _, dep := range s.DependsOn {
		other := u.services[dep.Service]
		if other == nil {
			continue
		}
		ids := u.reached(other, dep.Condition)
		if dep.Required {
			h.Needs = append(h.Needs, u.gate(gathered[dep.Condition], other, ids, dependants)...)
		} else {
			u.optional(ids)
			h.After = append(h.After, u.softGate(gathered[dep.Condition], other, ids, dependants)...)
		}
	}
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil {
			h.Needs = append(h.Needs, u.gate(starts, other, u.reached(other, desired.Started), dependants)...)
		}
	}
	return h
}

// optional marks waits that may fail as far as one of those who wait is concerned.
func (u *up) optional(ids []string) {
	for _, id := range ids {
		switch op := u.ops[id].(type) {
		case *WaitHealthy:
			op.Optional = true
		case *WaitCompleted:
			op.Optional = true
		}
	}
}

// afterShared is what must be so before containers of the service are made: what they share is there.
func (u *up) afterShared(s *service) []string {
	var out []string
	for _, name := range s.Shares {
		other := u.services[name]
		if other == nil {
			continue
		}
		var ready []string
		for _, m := range other.members {
			ready = append(ready, m.ready...)
		}
		out = append(out, u.gate(makes, other, ready, len(s.Containers))...)
	}
	return out
}
