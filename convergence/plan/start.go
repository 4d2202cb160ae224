package plan

import (
	"slices"
	"sync"
	"time"

	"stackrun.dev/stack/convergence/state"
)

// start adds the starts of the service's containers, behind what they depend on, and the waits that were asked for.
func (u *up) start(s *service) {
	if s.later || u.options.NoStart {
		return
	}
	var starting []newcomer
	await := sync.OnceValue(func() Header { return u.await(s, s.beginning()) })
	for _, m := range s.members {
		if m.begin {
			starting = append(starting, u.startMember(s, m, await()))
		}
		if u.options.Wait && !u.settled(s, m) {
			u.ops[u.waitHealthy(s, m, "until everything is up")].(*WaitHealthy).OrExited = true
		}
	}
	u.endRollout(s)
	u.preStartBatches(s, starting)
}

// startMember adds the start of the member's container, with what comes after it and, if it is a new one, the removal of the
// old one.
func (u *up) startMember(s *service, m *member, await Header) newcomer {
	n, ready, name := newcomer{m.ref(), m.Name, nil, u.readyForHooks(s, m)}, m.ready, m.Name
	if m.startsFirst() {
		n.ref, name, ready = m.before.Temporary, m.before.Temporary, []string{m.made}
		n.ready = ready
	}
	n.start = &StartContainer{Header: header(s.Name), Container: n.ref, Replaces: m.before}
	n.start.Needs, n.start.After = slices.Clone(await.Needs), slices.Concat(await.After, u.holders(m))
	start := u.add("start", n.start, Subject{Container, name}, m.why, ready...)
	m.start = u.postStart(s.Service, n.ref, name, start)
	switch {
	case m.rolls():
		u.rollIn(s, m, n.ref, name, await)
	case len(m.causes) > 0:
		u.remove(*m.now, u.options.RenewVolumes, "the new one has started", m.start)
	}
	return n
}

// beginning counts the containers that are to be started.
func (s *service) beginning() int {
	n := 0
	for _, m := range s.members {
		if m.begin {
			n++
		}
	}
	return n
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
			for _, c := range u.index.holdsPort[b.HostPort] {
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
	return u.options.Awaited[m.Name] || m.now != nil && m.now.Status != state.Restarting &&
		(m.now.Health == state.Healthy || m.now.Health == state.NoHealth && u.steady(m.now) || m.now.Status == state.Exited)
}

// young is a container that has run for less: it may be about to crash.
const young = 500 * time.Millisecond

// steady says that a container without a health check has run for a while. One that has crashed before may be between two
// crashes.
func (u *up) steady(c *state.Container) bool {
	return c.RestartCount == 0 && (u.options.Now.IsZero() || u.options.Now.Sub(c.StartedAt) >= young)
}

func (u *up) waitHealthy(s *service, m *member, cause string) string {
	op := &WaitHealthy{Header: header(s.Name), Container: m.ref()}
	return u.add("wait for the health of", op, Subject{Container, m.Name}, cause, nonEmpty(m.start)...)
}

func nonEmpty(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}
