package fsnotify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
)

// place is a path that leads to a directory: one that was added, or one above it. Those above are watched because a directory
// need not be told when it goes: nothing happens to it when one above it is renamed or a symbolic link on the way is turned, and
// nothing is told when it is removed while somebody holds it open, as a container does that has it mounted.
type place struct {
	path  string
	above *place // nil: the root directory, or a path that is not absolute
	below int    // so many places have this one above them
	wd    int32  // the kernel's number of the directory that was there last; 0: none that could be watched
	round int    // the last round of lost events after which it was asked for
	added bool
	names bool // what happens to the names in it matters to one below
}

// What is asked of the kernel.
const (
	ofSelf  = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	ofNames = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO

	// A file that was written through a mapping is only known by its being closed. A file that has no name any more does not
	// matter.
	ofEntries = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_EXCL_UNLINK
)

func (p *place) interest() uint32 {
	switch {
	case p.added:
		return ofSelf | ofNames | ofEntries
	case p.names:
		return ofSelf | ofNames
	default:
		return ofSelf
	}
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

// ready sees to it that the places above are watched, from the top, so that what happens to the path later is told. What cannot
// be watched there (it takes the right to list it) has to do without.
func (s *Source) ready(p *place, added bool) {
	if p == nil {
		return
	}
	if !added && p.round == s.round {
		return
	}
	s.ready(p.above, false)
	if up := p.above; up != nil && !up.names && (added || isLink(p.path)) {
		up.names = true
		_ = s.renew(up)
	}
	if !added {
		p.round = s.round
		_ = s.renew(p)
	}
}

// renew attaches a place of which nothing was told. If the path leads elsewhere by now, so may those below it.
func (s *Source) renew(p *place) error {
	before := p.wd
	err := s.attach(p)
	if before != 0 && p.wd != before {
		s.checkBelow(p)
	}
	return err
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// attach has the kernel watch the directory that the path leads to by now. The kernel knows what it watches already.
func (s *Source) attach(p *place) error {
	wd, err := s.ask(p.path, p.interest()|unix.IN_MASK_ADD)
	if err != nil {
		s.detach(p)
		return err
	}
	if p.wd != wd {
		s.detach(p)
		p.wd = wd
		s.watches[wd] = append(s.watches[wd], p)
	}
	return nil
}

// narrow has the kernel tell of a directory only what still matters: that of a place above others.
func (s *Source) narrow(p *place) {
	if s.renew(p) != nil || len(s.watches[p.wd]) > 1 {
		return
	}
	wd, err := s.ask(p.path, p.interest())
	if err != nil || wd == p.wd {
		return
	}
	for _, q := range s.watches[wd] { // the path has just come to lead to a directory of which more matters
		if s.attach(q) == nil && q.added {
			s.out.Put(watch.Event{Dir: q.path})
		}
	}
	s.check(p)
	if len(s.watches[wd]) == 0 {
		s.dismiss(wd)
	}
}

// detach ends the watching of the directory, if no other path leads to it.
func (s *Source) detach(p *place) {
	if p.wd == 0 {
		return
	}
	others := slices.DeleteFunc(s.watches[p.wd], func(o *place) bool { return o == p })
	if len(others) > 0 {
		s.watches[p.wd] = others
	} else {
		delete(s.watches, p.wd)
		s.dismiss(p.wd)
	}
	p.wd = 0
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
		if strings.HasPrefix(path, prefix) && q.wd != 0 {
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
	before := p.wd
	err := s.attach(p)
	if err == nil && p.wd == before {
		return true
	}
	if p.added {
		p.added = err == nil
		s.out.Put(watch.Event{Dir: p.path})
	}
	return false
}
