package plan

import "slices"

// restartAfterDependencies marks running containers for a restart when something is made anew or started again that they
// depend on with restart: true, or whose namespaces are theirs: they would stay in the old ones. Restarts spread: who depends
// on what is restarted here is restarted too.
func (u *up) restartAfterDependencies(s *service) {
	if s.later || u.options.NoStart {
		return
	}
	u.overtaken(s)
	for _, dep := range s.DependsOn {
		if other := u.services[dep.Service]; other != nil && dep.Restart {
			u.restartAfter(s, other, other.anew, other.touched)
		}
	}
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil && len(other.members) > 0 && inNamespacesOf(s.Service, other.Service) {
			first := other.members[0] // they are its, however many there are
			u.restartAfter(s, other, first.anew(), u.options.Touched[first.Name])
		}
	}
	for _, m := range s.members {
		s.anew = max(s.anew, m.anew())
		s.touched = s.touched || u.options.Touched[m.Name]
	}
	if s.made {
		s.anew = recreated
	}
}

// anew says whether a container, or one of a service, begins a new life by the plan.
type anew int

const (
	asBefore anew = iota
	started
	recreated
)

func (m *member) anew() anew {
	switch {
	case m.begin && (m.now == nil || len(m.causes) > 0):
		return recreated
	case m.begin:
		return started
	}
	return asBefore
}

// restartAfter marks the service's containers that run and stay. touched says that an earlier round has started the other,
// when it was not known yet whether these stay.
func (u *up) restartAfter(s, other *service, now anew, touched bool) {
	cause := other.Name + " is started again"
	switch {
	case now == recreated:
		cause = other.Name + " is recreated"
	case now == asBefore && touched:
		cause = other.Name + " was started before"
	case now == asBefore:
		return
	}
	var stopped []string
	for _, m := range s.members {
		if m.begin && m.stopped != "" && len(m.causes) == 0 { // another dependency has marked it
			stopped = append(stopped, m.stopped)
			continue
		}
		settled := now == asBefore && u.options.Touched[m.Name]
		if m.now == nil || len(m.causes) > 0 || m.begin || !m.now.Status.Alive() || settled {
			continue
		}
		u.restartMember(m, cause)
		stopped = append(stopped, m.stopped)
	}
	u.stopBefore(other, s, stopped)
}

// restartMember marks a container that runs for a stop and a start.
func (u *up) restartMember(m *member, cause string) {
	m.begin, m.why = true, cause
	m.stopped = u.stop(*m.now, u.options.Timeout, cause, m.ready...)
	m.before = &Replaced{Container: m.now.ID, Name: m.now.Name, Running: true, Final: m.now.Name}
	m.ready = append(m.ready, m.stopped)
}

// stopBefore makes the other's old containers stop only after those of the service. An update without a gap of the other has
// to be over first: until then they need not notice it.
func (u *up) stopBefore(other, s *service, stopped []string) {
	if gate := other.updateWithoutGap(); gate != "" && !u.restartsEarly(s) {
		for _, id := range stopped {
			h := u.headOf(id)
			h.Needs = append(h.Needs, gate)
		}
		return
	}
	stopping := slices.DeleteFunc(slices.Clone(other.members), func(m *member) bool { return m.stopped == "" })
	ids := u.softGate(stops, s, stopped, len(stopping))
	for _, m := range stopping {
		h := u.headOf(m.stopped)
		h.After = append(h.After, ids...)
	}
}
