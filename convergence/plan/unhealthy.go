package plan

import (
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

// overtaken restarts the service's containers if what they depend on with restart: true, or whose namespaces they are in, was
// started after them: by the engine, or by hand. Who is started here is started after what it depends on.
func (u *up) overtaken(s *service) {
	for _, dep := range s.DependsOn {
		if other := u.services[dep.Service]; other != nil && dep.Restart && dep.Condition != desired.Completed {
			u.restartOlder(s, other.Name, lastStart(other.members))
		}
	}
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil && len(other.members) > 0 && inNamespacesOf(s.Service, other.Service) {
			u.restartOlder(s, name, lastStart(other.members[:1]))
		}
	}
}

func (u *up) restartOlder(s *service, other string, last time.Time) {
	for _, m := range s.members {
		if m.stays() && u.isOlder(m, last) {
			u.restartMember(m, other+" was started after it")
		}
	}
}

// isOlder says that the container was started before that. One that this run has started is not looked at again, and what
// happened within a second is in no order: not all clocks and engines tell more.
func (u *up) isOlder(m *member, last time.Time) bool {
	if u.options.Overtaken {
		return m.now.StartedAt.Before(last)
	}
	return !u.options.Touched[m.Name] && m.now.StartedAt.Truncate(time.Second).Before(last.Truncate(time.Second))
}

// stays says that the container runs, since a time that is known, and nothing is to happen to it.
func (m *member) stays() bool {
	return m.now != nil && len(m.causes) == 0 && !m.begin && (m.now.Status == state.Running || m.now.Status == state.Paused) && !m.now.StartedAt.IsZero()
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
