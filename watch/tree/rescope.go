package tree

import "golang.org/x/sys/unix"

// earlier is what counted in a directory before Watch was called again.
type earlier struct {
	scope *scope
	cover []*Root
}

// counted says that an entry did. If it is not known, it has come since, and there is an event.
func (e *earlier) counted(d *dir, name string, isDir bool) bool {
	return isDir && e.scope.leads(d.path, name) || len(e.scope.cover(e.cover, d.join(name), isDir)) > 0
}

// leads is counted of something on the way to a root.
func (e *earlier) leads(at place) bool {
	s, err := statAt(at.fd, at.name, true, at.clock)
	return err == nil && e.counted(at.dir, at.name, s.kind() == Dir)
}

// rescoping is the way from one scope to another.
type rescoping struct {
	before, now *scope
	drop, anew  []place
	jobs        []job
}

// rescope watches something else, and says whether all of it is known: done has not cut it short.
func (t *Tree) rescope(s *scope, done <-chan struct{}) bool {
	r := rescoping{before: t.scope, now: s}
	t.index.Lock()
	t.scope = s
	r.dir(t.top, s.cover(nil, t.top.path, true))
	t.index.Unlock()
	p := newPass(t)
	p.silent, p.ways, p.done = true, true, done
	for _, at := range append(r.drop, r.anew...) {
		p.drop(at.dir, at.name)
	}
	for _, at := range r.anew {
		if p.cut() {
			return false
		}
		p.entries(at.dir, map[string]struct{}{at.name: {}})
	}
	for _, j := range r.jobs {
		if !j.dir.toBeListed() {
			p.enqueue(j)
		}
	}
	p.finish()
	if p.cut() {
		return false
	}
	if len(s.roots) == 0 {
		t.source.Remove(t.top.path)
		t.top.listed = false
	}
	return true
}

// dir says for which roots the directory counts from now on, and what is to be done about its entries.
func (r *rescoping) dir(d *dir, cover []*Root) {
	was := d.cover
	d.cover = cover
	for name, n := range d.names {
		at := place{dir: d, name: name}
		counts := r.now.cover(cover, at.path(), n.dir != nil)
		switch {
		case len(counts) == 0 && (n.dir == nil || !r.now.leads(d.path, name)):
			r.drop = append(r.drop, at)
		case (n.followed || n.kind() == Link) && (len(was) == 0) != (len(cover) == 0):
			r.anew = append(r.anew, at) // links are followed on the way to a root only
		case n.dir != nil:
			r.dir(n.dir, counts)
		}
	}
	if filters(was) {
		r.jobs = append(r.jobs, job{dir: d, before: &earlier{r.before, was}})
	}
}

// followed notes whether what is known of an entry is what a link leads to.
func (p *pass) followed(at place, n *node) {
	if len(at.dir.cover) > 0 {
		n.followed = false
		return
	}
	var s unix.Stat_t
	n.followed = unix.Lstat(at.path(), &s) == nil && kindOf(s.Mode) == Link
}
