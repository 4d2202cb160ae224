package plan

import (
	"fmt"
	"sync"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// reconcile decides about each container of the service: create, replace, repair, remove or leave alone.
func (u *up) reconcile(s *service) {
	if s.later {
		return
	}
	u.tidyHooks(s)
	s.behind = sync.OnceValue(func() []string { return u.afterShared(s) })
	there, rest := claims(s.Service, u.state.Of(s.Name))
	for _, c := range s.Containers {
		m := &member{Container: c}
		s.members = append(s.members, m)
		var leftovers []state.Container
		m.now, leftovers = pick(c, there[c.Number])
		for _, left := range leftovers {
			cause := "left by an interrupted replacement of " + c.Name
			if left.Status == state.Removing {
				cause = "it is being removed"
			}
			m.cleared = append(m.cleared, u.stopAndRemove(left, u.options.Timeout, false, cause))
		}
		u.decide(s, m)
	}
	u.rollOut(s)
	for _, extra := range rest {
		cause := fmt.Sprintf("scale is %d", len(s.Containers))
		u.stopAndRemove(extra, u.options.Timeout, false, cause)
	}
}

// claims sorts the containers that are there by the number that they claim, and leaves those over whose number nobody wants.
func claims(s *desired.Service, there []state.Container) (byNumber map[int][]state.Container, rest []state.Container) {
	byNumber = make(map[int][]state.Container, len(s.Containers))
	for _, c := range s.Containers {
		byNumber[c.Number] = nil
	}
	for _, c := range there {
		if claimed, wanted := byNumber[c.Number]; wanted {
			byNumber[c.Number] = append(claimed, c)
		} else {
			rest = append(rest, c)
		}
	}
	return byNumber, rest
}

// pick finds the container that is the wanted one, and others that claim to be. The one with the right name counts; without
// it, the newest. One that is being removed is as good as gone.
func pick(want desired.Container, there []state.Container) (now *state.Container, leftovers []state.Container) {
	for _, c := range there {
		switch {
		case c.Status == state.Removing:
			leftovers = append(leftovers, c)
		case now == nil:
			now = &c
		case now.Name != want.Name && (c.Name == want.Name || c.Created.After(now.Created)):
			leftovers = append(leftovers, *now)
			now = &c
		default:
			leftovers = append(leftovers, c)
		}
	}
	return now, leftovers
}

func (u *up) decide(s *service, m *member) {
	if m.now == nil {
		u.create(s, m)
		return
	}
	if e, ok := u.evicted[m.now.ID]; ok {
		u.evict(s, m, e)
		return
	}
	m.causes = u.causes(s, m)
	if len(m.causes) > 0 {
		u.replace(s, m)
		return
	}
	u.repair(s, m)
}

// create makes a container that is not there.
func (u *up) create(s *service, m *member) {
	s.made = true
	m.begin, m.why = true, ""
	m.ready = []string{u.make(s, m, m.Name, m.Config, "it is not there")}
}
