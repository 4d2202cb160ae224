package plan

import (
	"slices"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// restartUnhealthy restarts the service's containers that are unhealthy and whose time has come. Nothing is waited for: what
// a container depends on ran when it was started.
func (u *up) restartUnhealthy(s *service) {
	for _, m := range s.members {
		if !u.options.Unhealthy[m.Name] || m.begin || m.now == nil || m.now.Status != state.Running || m.now.Health != state.Unhealthy {
			continue
		}
		_, needs := u.preStop(*m.now, m.ready)
		op := &RestartContainer{Header: header(s.Name), Container: m.now.ID, Timeout: u.options.Timeout}
		id := u.add("restart", op, Subject{Container, m.Name}, "it is unhealthy", needs...)
		u.postStart(s.Service, m.now.ID, m.Name, id)
	}
}

// overtaken restarts the service's containers if what they depend on with restart: true was started after them.
func (u *up) overtaken(s *service) {
	if !u.options.Overtaken {
		return
	}
	for _, dep := range s.DependsOn {
		other := u.services[dep.Service]
		if other == nil || !dep.Restart || dep.Condition == desired.Completed {
			continue
		}
		if last := lastStart(other.members); slices.ContainsFunc(s.members, func(m *member) bool { return m.stays() && m.now.StartedAt.Before(last) }) {
			u.restartAfter(s, other, started, false)
		}
	}
}

// stays says that the container runs, since a time that is known, and nothing is to happen to it.
func (m *member) stays() bool {
	return m.now != nil && len(m.causes) == 0 && !m.begin && m.now.Status == state.Running && !m.now.StartedAt.IsZero()
}

// lastStart is when the last of the containers was started that stay.
func lastStart(members []*member) time.Time {
	var last time.Time
	for _, m := range members {
		if m.stays() && m.now.StartedAt.After(last) {
			last = m.now.StartedAt
		}
	}
	return last
}
