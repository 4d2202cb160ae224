package tree

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// pass is one comparison of a part of the tree with the disk. First the structure is compared, directories beside each other,
// then the content of those files of which nothing else tells whether they are the same.
type pass struct {
	tree   *Tree
	silent bool            // what is found is no change: nobody has seen anything of it
	early  places          // to be looked at again: they are being written
	ways   bool            // what leads to roots may be another way now
	done   <-chan struct{} // closed when nobody waits for the pass any more; nil: somebody does until the tree is closed

	emptyFiles places // those of early that are empty

	mu      sync.Mutex
	more    *sync.Cond
	queue   []job
	busy    int // workers that may put more in the queue
	changes []Change
	reads   []read
	errs    []error
}

// job is a directory that is to be compared.
type job struct {
	dir  *dir
	deep bool // what is known of the directories below it may be wrong, too

	// before is set when only what did not count with an earlier scope is new. The rest is left to its events.
	before *earlier
}

func newPass(t *Tree) *pass {
	p := &pass{tree: t, early: places{}, emptyFiles: places{}}
	p.more = sync.NewCond(&p.mu)
	return p
}

// cut says that the pass ends without having looked at all it was to: nobody waits for it.
func (p *pass) cut() bool {
	select {
	case <-p.done:
		return true
	default:
		return p.tree.ending()
	}
}

// at looks where something has happened.
func (p *pass) at(where places) {
	for _, path := range slices.Sorted(maps.Keys(where)) { // what is in a directory after it
		if p.cut() {
			return
		}
		p.guarded(path, where[path])
		d := p.tree.dirs[path]
		if d == nil || d.toBeListed() {
			continue
		}
		if _, itself := where[path][""]; itself {
			p.itself(d)
		} else {
			p.entries(d, where[path])
		}
	}
}

// itself looks at a directory that may not be watched any more, and at what is in it.
func (p *pass) itself(d *dir) {
	if d.parent != nil {
		p.entries(d.parent, map[string]struct{}{d.name(): {}})
	}
	if !d.gone && !d.queued {
		p.list(job{dir: d})
	}
}

func (p *pass) entries(d *dir, names map[string]struct{}) {
	fd, err := d.open(unix.O_PATH)
	if err != nil {
		p.failed("look into", d.path, err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	at := place{dir: d, fd: fd, clock: clock()}
	for _, at.name = range slices.Sorted(maps.Keys(names)) {
		p.look(at, false)
	}
}

// everything looks at all there is.
func (p *pass) everything() {
	p.ways = true
	for dir := range p.tree.guards { // they may be other directories by now
		_ = p.tree.source.Add(dir)
	}
	p.enqueue(job{dir: p.tree.top, deep: true})
}

// finish returns what has changed, and nothing of a pass that was cut.
func (p *pass) finish() []Change {
	if len(p.queue) > 0 {
		atOnce(p.worker)
	}
	p.compareContent()
	if p.cut() {
		return nil
	}
	if p.ways {
		p.tree.guard()
	}
	for _, err := range p.errs {
		p.tree.tell(err)
	}
	if len(p.tree.unread) > 0 {
		select {
		case p.tree.raw <- struct{}{}:
		default:
		}
	}
	return merge(p.changes)
}

// atOnce runs the function on each processor.
func atOnce(do func()) {
	var others sync.WaitGroup
	for range runtime.GOMAXPROCS(0) - 1 {
		others.Go(do)
	}
	do()
	others.Wait()
}

func (p *pass) enqueue(j job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.dir.queued = true
	p.queue = append(p.queue, j)
	p.more.Signal()
}

func (p *pass) worker() {
	for {
		j, any := p.next()
		if !any {
			return
		}
		p.list(j)
		p.mu.Lock()
		p.busy--
		p.more.Broadcast()
		p.mu.Unlock()
	}
}

// next waits for a job; there is none when the queue is empty and nobody is at work, and when the pass is cut.
func (p *pass) next() (job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.cut() && len(p.queue) == 0 {
		if p.busy == 0 {
			return job{}, false
		}
		p.more.Wait()
	}
	if p.cut() {
		return job{}, false
	}
	last := len(p.queue) - 1
	j := p.queue[last]
	p.queue = p.queue[:last]
	j.dir.queued = false
	p.busy++
	return j, true
}

// list compares the entries of a directory, which is watched first, so that what comes later is told.
func (p *pass) list(j job) {
	d := j.dir
	if d.gone || (j.before == nil || !d.listed) && !p.watch(d) {
		return
	}
	if len(d.cover) == 0 {
		p.onTheWay(j)
		return
	}
	fd, err := d.open(unix.O_RDONLY)
	if err != nil {
		p.failed("read", d.path, err)
		return
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(-1)
	if err != nil {
		p.failed("read", d.path, err)
	}
	if !d.listed && len(d.names) == 0 && !filters(d.cover) {
		d.names = make(map[string]*node, len(entries))
	}
	p.listed(j, place{dir: d, fd: fd, clock: clock()}, entries)
	d.listed = err == nil
}

// listed looks at the entries that a directory has or had.
func (p *pass) listed(j job, at place, entries []os.DirEntry) {
	d := j.dir
	missing := maps.Clone(d.names)
	for _, e := range entries {
		if p.cut() {
			return
		}
		at.name = e.Name()
		switch {
		case missing[at.name] == nil:
			p.unknown(j, at, e.IsDir())
		case j.before == nil:
			p.look(at, j.deep)
		}
		delete(missing, at.name)
	}
	if j.before == nil {
		for at.name = range missing {
			if p.cut() {
				return
			}
			p.look(at, j.deep)
		}
	}
}

// unknown looks at an entry that is not known, if it counts.
func (p *pass) unknown(j job, at place, isDir bool) {
	d := at.dir
	if j.before != nil && j.before.counted(d, at.name, isDir) {
		return
	}
	path := at.path()
	cover := p.tree.scope.cover(d.cover, path, isDir)
	if len(cover) == 0 && !p.tree.scope.leads(d.path, at.name) {
		return
	}
	if s, ok := p.stat(at); ok {
		if isDir != (s.kind() == Dir) { // it is another one by now, or it was not told
			cover = p.tree.scope.cover(d.cover, path, s.kind() == Dir)
		}
		p.see(at, &s, cover, j.deep)
	}
}

// onTheWay looks at what leads to roots.
func (p *pass) onTheWay(j job) {
	d := j.dir
	fd, err := d.open(unix.O_PATH)
	if err != nil {
		p.failed("look into", d.path, err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	at := place{dir: d, fd: fd, clock: clock()}
	for at.name = range p.tree.scope.ways[d.path] {
		if j.before == nil || d.names[at.name] == nil && !j.before.leads(at) {
			p.look(at, j.deep)
		}
	}
	d.listed = true
}

// watch says whether it makes sense to go on. Of directories that only lead to a root it does not matter much if they cannot be
// watched: what is in them seldom changes.
func (p *pass) watch(d *dir) bool {
	err := p.tree.source.Add(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil && (len(d.cover) > 0 || !errors.Is(err, fs.ErrPermission)) {
		p.note(cannot("watch", d.path, err))
	}
	return true
}

// failed notes an error, unless it is that of something that has gone, which is told by another event.
func (p *pass) failed(what, path string, err error) {
	if !absent(err) {
		p.note(cannot(what, path, err))
	}
}

func (p *pass) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

// record notes a change.
func (p *pass) record(path string, was, is Entry) {
	if p.silent || !was.differs(is) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, Change{Path: path, Was: was, Is: is})
}
