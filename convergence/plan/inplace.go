package plan

import (
	"fmt"

	"stackrun.dev/stack/convergence/state"
)

// repair changes in place what can be.
func (u *up) repair(s *service, m *member) {
	c := m.now
	if c.Name != m.Name {
		op := &RenameContainer{Header: header(s.Name), Container: c.ID, Name: m.Name}
		m.ready = append(m.ready, u.add("rename", op, Subject{Container, m.Name}, "it is called "+c.Name, m.cleared...))
	}
	u.resources(s) // what it is on may have vanished, as far as the engine allows that
	u.updateLimits(s, m)
	switch c.Status {
	case state.Paused:
		if u.options.Touched[m.Name] {
			break // somebody has paused it since
		}
		op := &UnpauseContainer{Header: header(s.Name), Container: c.ID}
		m.start = u.add("unpause", op, Subject{Container, m.Name}, "it is paused", m.ready...)
		m.ready = append(m.ready, m.start)
	case state.Created:
		m.begin, m.why = true, "it was never started"
	case state.Exited:
		if !u.options.Touched[m.Name] && !u.completed(s, c) {
			m.begin, m.why = true, fmt.Sprintf("it exited (%d)", c.ExitCode)
		}
	}
}

// updateLimits changes the restart policy and the limits, once in a run: what the engine did not take then, it does not know.
func (u *up) updateLimits(s *service, m *member) {
	if m.limits == nil || len(m.limits.changes) == 0 || u.options.Updated[m.Name] {
		return
	}
	op := &UpdateContainer{Header: header(s.Name), Container: m.now.ID, Config: m.limits.update}
	m.ready = append(m.ready, u.add("update", op, Subject{Container, m.Name}, joinCauses(inWords(m.limits.changes)), m.ready...))
}

// completed says that the container has done what it is there for: another service waits for its completion, and it
// exited with 0. Running it again would be a surprise.
func (u *up) completed(s *service, c *state.Container) bool {
	return c.ExitCode == 0 && u.finite[s.Name]
}
