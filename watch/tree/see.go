package tree

// place is an entry of an open directory.
type place struct {
	dir   *dir
	fd    int
	clock int64 // when the directory was opened
	name  string
}

func (at place) path() string { return at.dir.join(at.name) }

// look compares an entry with what is there now. With deep, what is known below it may be wrong, too.
func (p *pass) look(at place, deep bool) {
	if s, ok := p.stat(at); ok {
		p.see(at, &s, p.tree.scope.cover(at.dir.cover, at.path(), s.kind() == Dir), deep)
	}
}

// stat is what is there, zero if nothing is. Links on the way to a root are followed.
func (p *pass) stat(at place) (stat, bool) {
	follow := len(at.dir.cover) == 0
	if follow {
		p.mu.Lock()
		p.ways = true
		p.mu.Unlock()
	}
	s, err := statAt(at.fd, at.name, follow, at.clock)
	if err == nil {
		return s, true
	}
	p.failed("look at", at.path(), err)
	return stat{}, absent(err)
}

// see compares an entry with what the kernel says about it.
func (p *pass) see(at place, s *stat, cover []*Root, deep bool) {
	kind := s.kind()
	if len(cover) == 0 && (kind != Dir || !p.tree.scope.leads(at.dir.path, at.name)) {
		kind = None
	}
	old := at.dir.names[at.name]
	if old != nil && old.kind() != kind {
		p.drop(at.dir, at.name)
		old = nil
	}
	switch kind {
	case Dir:
		p.seeDir(at, old, s, cover, deep)
	case Link:
		p.seeLink(at, old, s)
	case File:
		p.seeFile(at, old, s)
	}
}

func (p *pass) seeDir(at place, old *node, s *stat, cover []*Root, deep bool) {
	was, n := old.entry(), old
	if old == nil {
		n = &node{dir: &dir{path: at.path(), parent: at.dir, names: map[string]*node{}, cover: cover}}
		p.tree.register(n.dir)
		at.dir.names[at.name] = n
	}
	deep = deep || old != nil && !old.sameInode(s)
	n.set(s)
	p.followed(at, n)
	p.record(n.dir.path, was, n.entry())
	if deep || !n.dir.listed {
		p.enqueue(job{dir: n.dir, deep: deep})
	}
}

func (p *pass) seeLink(at place, old *node, s *stat) {
	if old != nil && old.same(s) && old.trusted {
		return
	}
	link, err := readLink(at.fd, at.name)
	if err != nil {
		p.failed("read", at.path(), err) // it has just been replaced, which is another event
		return
	}
	was, n := old.entry(), old
	if old == nil {
		n = &node{}
		at.dir.names[at.name] = n
	}
	n.set(s)
	n.link = link
	p.record(at.path(), was, n.entry())
}

// seeFile compares the content later if that has to be read. What nobody has seen, or is another file than one whose content is
// not known, has changed anyhow; unless it was written just now, then later events could tell of what is seen already.
func (p *pass) seeFile(at place, old *node, s *stat) {
	if old != nil && old.same(s) && old.trusted {
		return
	}
	if grown := s.Size > largeFile && (old == nil || old.size != s.Size); grown && !p.silent {
		p.seeLarge(at, s)
		return
	}
	if s.recent() || old != nil && old.digest != (Digest{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reads = append(p.reads, read{dir: at.dir, name: at.name, follow: len(at.dir.cover) == 0, stat: *s})
		return
	}
	p.file(at.dir, at.name, s, Digest{})
}

// seeLarge is seeFile of a large file that has certainly changed. It is not read for that, but nobody wants to know each step
// of a copy.
func (p *pass) seeLarge(at place, s *stat) {
	if !s.fromJustNow() {
		p.file(at.dir, at.name, s, Digest{})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.early.add(at.dir.path, at.name)
}

// file notes what is known of a file. It has changed unless its content is known to be the same, or nothing is known of it, but
// nothing can be seen either.
func (p *pass) file(d *dir, name string, s *stat, digest Digest) {
	old := d.names[name]
	was, n := old.entry(), old
	if old == nil {
		n = &node{}
		d.names[name] = n
	}
	unseen := old != nil && old.same(s) && (old.digest == Digest{} || digest == Digest{})
	n.set(s)
	n.digest = digest
	p.followed(place{dir: d, name: name}, n)
	if !unseen {
		p.record(d.join(name), was, n.entry())
	}
	if n.trusted && digest == (Digest{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tree.toBeRead(d)
	}
}

// drop forgets an entry and all below it.
func (p *pass) drop(d *dir, name string) {
	n := d.names[name]
	if n == nil {
		return
	}
	if n.dir != nil {
		for below := range n.dir.names {
			p.drop(n.dir, below)
		}
		p.tree.unregister(n.dir)
	}
	delete(d.names, name)
	p.record(d.join(name), n.entry(), Entry{})
}

// register makes events about a directory count. That is so before it is watched.
func (t *Tree) register(d *dir) {
	t.index.Lock()
	defer t.index.Unlock()
	t.dirs[d.path] = d
}

func (t *Tree) unregister(d *dir) {
	d.gone = true
	t.index.Lock()
	delete(t.dirs, d.path)
	guard := t.guards[d.path] != nil
	t.index.Unlock()
	if !guard {
		t.source.Remove(d.path)
	}
}
