package fsnotify

import (
	"path/filepath"
	"slices"
	"strings"
)

// place is a path that leads to a directory: one that was added, or one above it. Those above are watched because a directory
// need not be told when it goes: nothing happens to it when one above it is renamed or a symbolic link on the way is turned, and
// nothing is told when it is removed while somebody holds it open, as a container does that has it mounted.
type place struct {
	path  string
	above *place     // nil: the root directory, or a path that is not absolute
	below int        // so many places have this one above them
	at    *directory // that was there last; nil: none that could be watched
	round int        // the last round of lost events after which it was asked for
	added bool
}

// place is the one of the path, which is made with all that are above it.
func (s *Source) place(path string) *place {
	if p := s.places[path]; p != nil {
		return p
	}
	p := &place{path: path, round: -1}
	if up := filepath.Dir(path); up != path && filepath.IsAbs(path) {
		p.above = s.place(up)
		p.above.below++
	}
	s.places[path] = p
	return p
}

// ready sees to it that a place above others is watched, and those above it first, so that what happens to the path later is
// told. What cannot be watched there (it takes the right to list it) has to do without.
func (s *Source) ready(p *place) {
	if p == nil || p.round == s.round {
		return
	}
	s.ready(p.above)
	p.round = s.round
	_ = s.renew(p)
}

// renew attaches a place of which nothing was told. If the path leads elsewhere by now, so may those below it.
func (s *Source) renew(p *place) error {
	before := p.at
	err := s.attach(p)
	if before != nil && p.at != before {
		s.checkBelow(p)
	}
	return err
}

// attach has the directory watched that the path leads to by now.
func (s *Source) attach(p *place) error {
	d, err := s.ask(p.path)
	if err != nil {
		s.detach(p)
		return err
	}
	if p.at != d {
		s.detach(p)
		p.at = d
		d.places = append(d.places, p)
	}
	return nil
}

// detach ends the watching of the directory, if no other path leads to it.
func (s *Source) detach(p *place) {
	d := p.at
	if d == nil {
		return
	}
	p.at = nil
	d.places = slices.DeleteFunc(d.places, func(o *place) bool { return o == p })
	if len(d.places) == 0 {
		s.forget(d)
	}
}

// release gives up a place that was not added, and those above it that nobody needs then.
func (s *Source) release(p *place) {
	for p != nil && s.places[p.path] == p && !p.added && p.below == 0 {
		s.detach(p)
		delete(s.places, p.path)
		p = p.above
		if p != nil {
			p.below--
		}
	}
}

// check looks where a path leads by now, and tells if it is elsewhere.
func (s *Source) check(p *place) {
	if s.places[p.path] != p || s.same(p) {
		return
	}
	s.checkBelow(p)
	s.release(p)
}

// checkBelow looks where the paths below one lead by now.
func (s *Source) checkBelow(p *place) {
	if p.below == 0 {
		return
	}
	var below []*place
	prefix := strings.TrimSuffix(p.path, "/") + "/"
	for path, q := range s.places {
		if strings.HasPrefix(path, prefix) && q.at != nil {
			below = append(below, q)
		}
	}
	slices.SortFunc(below, func(a, b *place) int { return strings.Compare(b.path, a.path) }) // what is below comes first
	for _, q := range below {
		if s.places[q.path] == q && !s.same(q) {
			s.release(q)
		}
	}
}

// same says whether the path still leads to the same directory, and tells if not.
func (s *Source) same(p *place) bool {
	before := p.at
	err := s.attach(p)
	if err == nil && p.at == before {
		return true
	}
	s.changed(p)
	p.added = p.added && err == nil
	return false
}
