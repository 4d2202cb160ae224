package plan

import (
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// restartAfterDependencies marks running containers for a restart when something that they depend on with restart: true
// is made anew or started again.
func (u *up) restartAfterDependencies(s *service) {
	if s.later || u.options.NoStart {
		return
	}
	for _, dep := range s.DependsOn {
		other := u.services[dep.Service]
		if other == nil || !dep.Restart || !other.made {
			continue
		}
		for _, m := range s.members {
			if m.now != nil && len(m.causes) == 0 && !m.begin && m.now.Status.Alive() {
				m.begin, m.why = true, dep.Service+" is recreated"
				m.stopped = u.stop(*m.now, u.options.Timeout, m.why)
				m.before = &Replaced{Container: m.now.ID, Name: m.now.Name, Running: true, Final: m.now.Name}
				m.ready = append(m.ready, m.stopped)
				u.stopBefore(other, m.stopped)
			}
		}
	}
}

// stopBefore makes the service's old containers stop only after the operation.
func (u *up) stopBefore(s *service, id string) {
	for _, m := range s.members {
		if m.stopped != "" {
			h := u.headOf(m.stopped)
			h.After = append(h.After, id)
		}
	}
}

// start adds the starts of the service's containers, behind what they depend on, and the waits that were asked for.
func (u *up) start(s *service) {
	if s.later || u.options.NoStart {
		return
	}
	var starting []newcomer
	for _, m := range s.members {
		if m.begin {
			op := &StartContainer{Header: header(s.Name), Container: m.ref(), Replaces: m.before}
			u.await(s, &op.Header)
			op.After = append(op.After, u.holders(m)...)
			start := u.add("start", op, Subject{Container, m.Name}, m.why, m.ready...)
			m.start = u.postStart(s.Service, m.ref(), m.Name, start)
			starting = append(starting, newcomer{m.ref(), m.Name, op, m.ready})
			if len(m.causes) > 0 {
				u.remove(*m.now, u.options.RenewVolumes, "the new one has started", m.start)
			}
		}
		if u.options.Wait && !u.settled(s, m) {
			u.ops[u.waitHealthy(s, m, "until everything is up")].(*WaitHealthy).OrExited = true
		}
	}
	u.preStart(s.Service, starting, s.runs(), func(hook *desired.PreStart) string { return s.hookImage[hook.Image] })
}

// runs says that a container of the service goes on running, so that the service has started already.
func (s *service) runs() bool {
	return slices.ContainsFunc(s.members, func(m *member) bool { return m.now != nil && !m.begin && m.now.Status.Alive() })
}

// holders are the operations that stop containers which hold a host port that the member wants.
func (u *up) holders(m *member) []string {
	var out []string
	for _, bindings := range m.Config.Host.PortBindings {
		for _, b := range bindings {
			for _, c := range u.ports[b.HostPort] {
				id := "stop container " + c.Name
				if u.ops[id] != nil && (m.now == nil || c.ID != m.now.ID) {
					out = append(out, id)
				}
			}
		}
	}
	return out
}

// settled says that there is nothing to wait for: it runs already and is healthy, or it has done its work.
func (u *up) settled(s *service, m *member) bool {
	if m.start != "" {
		return u.finite[s.Name]
	}
	// What restarts shows no health: it will have one again when it runs.
	return m.now != nil && m.now.Status != state.Restarting &&
		(m.now.Health == state.Healthy || m.now.Health == state.NoHealth || m.now.Status == state.Exited)
}

// await adds what must be so before the service's containers start.
func (u *up) await(s *service, h *Header) {
	for _, dep := range s.DependsOn {
		other := u.services[dep.Service]
		if other == nil {
			continue
		}
		for _, m := range other.members {
			ids := u.condition(other, m, dep.Condition)
			if dep.Required {
				h.Needs = append(h.Needs, ids...)
			} else {
				h.After = append(h.After, ids...)
			}
		}
	}
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil {
			for _, m := range other.members {
				h.Needs = append(h.Needs, nonEmpty(m.start)...)
			}
		}
	}
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
		m.wait = u.add("wait for the completion of", op, Subject{Container, m.Name}, "others wait until it has completed", nonEmpty(m.start)...)
		return []string{m.wait}
	}
	return nonEmpty(m.start)
}

func (u *up) waitHealthy(s *service, m *member, cause string) string {
	op := &WaitHealthy{Header: header(s.Name), Container: m.ref()}
	m.wait = u.add("wait for the health of", op, Subject{Container, m.Name}, cause, nonEmpty(m.start)...)
	return m.wait
}

func nonEmpty(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}
