package tree

import (
	"crypto/sha256"
	"errors"
	"hash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// read is a file whose content is to be compared.
type read struct {
	dir    *dir
	name   string
	follow bool // a symbolic link at the path
	stat   stat
	digest Digest
	err    error
}

// largeFile is a size from which on reading a file takes more than a moment.
const largeFile = 16 << 20

// errUnsteady: the file changes while it is read.
var errUnsteady = errors.New("it changes while it is read")

// errCut: nobody waits for it any more.
var errCut = errors.New("the reading was cut short")

// compareContent reads what is to be read, several files at once if there are many.
func (p *pass) compareContent() {
	slices.SortFunc(p.reads, func(a, b read) int {
		if a.dir != b.dir {
			return strings.Compare(a.dir.path, b.dir.path)
		}
		return strings.Compare(a.name, b.name)
	})
	const few, chunk = 8, 32
	if len(p.reads) <= few {
		p.readFiles(p.reads)
	} else {
		var next atomic.Int64
		atOnce(func() {
			for {
				end := int(next.Add(chunk))
				if end-chunk >= len(p.reads) {
					return
				}
				p.readFiles(p.reads[end-chunk : min(end, len(p.reads))])
			}
		})
	}
	for i := range p.reads {
		if p.cut() {
			return
		}
		p.readResult(&p.reads[i])
	}
}

// readResult notes what came of it.
func (p *pass) readResult(r *read) {
	old := r.dir.names[r.name]
	switch {
	case r.dir.gone || old != nil && old.kind() != File:
		return // it was there twice, and the other one was later
	case absent(r.err):
		p.drop(r.dir, r.name)
		return
	case p.silent && errors.Is(r.err, errUnsteady):
		r.digest = Digest{} // there will be another event, which makes a change
	case errors.Is(r.err, errUnsteady), r.err == nil && p.emptied(r, old):
		p.early.add(r.dir.path, r.name)
		return
	case r.err != nil:
		p.failed("read", r.dir.join(r.name), r.err)
	}
	p.file(r.dir, r.name, &r.stat, r.digest)
}

// emptied says that the file was emptied just now: whoever does that goes on to write, most often. It is waited for once.
func (p *pass) emptied(r *read, old *node) bool {
	if p.silent || r.stat.Size > 0 || old != nil && old.size == 0 || !r.stat.fromJustNow() {
		return false
	}
	return p.emptyFiles.add(r.dir.path, r.name) == fresh && !p.tree.emptyFiles.has(r.dir.path, r.name)
}

// readFiles reads files that are sorted by directory.
func (p *pass) readFiles(reads []read) {
	var open *dir
	fd, err := -1, error(nil)
	defer func() { closeDir(fd) }()
	for i := range reads {
		if p.cut() {
			return
		}
		r := &reads[i]
		if r.dir != open {
			closeDir(fd)
			open = r.dir
			fd, err = open.open(unix.O_PATH)
		}
		if r.err = err; err == nil {
			r.read(fd, p.cut)
		}
	}
}

func closeDir(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// read reads the file until it does not change meanwhile, but not for ever. A large one that changes is not read to its end, and
// none when it is cut short.
func (r *read) read(dir int, cut func() bool) {
	const tries = 3
	for range tries {
		s, digest, err := readOnce(dir, r.name, r.follow, cut)
		if err == nil {
			r.stat, r.digest, r.err = s, digest, nil
			return
		}
		r.err = err
		if !errors.Is(err, errUnsteady) || s.Size > largeFile {
			return
		}
	}
}

// readOnce is the digest of a file and what the kernel says about it, before and after.
func readOnce(dir int, name string, follow bool, cut func() bool) (stat, Digest, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, flags, 0) })
	if errors.Is(err, unix.EAGAIN) { // somebody has a lease on it, and was told to give it up
		return stat{}, Digest{}, errUnsteady
	}
	if err != nil {
		return stat{}, Digest{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	before, err := statOf(fd)
	if err != nil {
		return stat{}, Digest{}, err
	}
	if before.kind() != File {
		return stat{}, Digest{}, errUnsteady
	}
	digest, err := digestOf(fd, &before, cut)
	return before, digest, err
}

// reader is what it takes to read a file.
type reader struct {
	hash hash.Hash
	buf  [256 << 10]byte
}

var readers = sync.Pool{New: func() any { return &reader{hash: sha256.New()} }}

func digestOf(fd int, before *stat, cut func() bool) (Digest, error) {
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.hash.Reset()
	for {
		if cut() {
			return Digest{}, errCut
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, r.buf[:]) })
		if err != nil {
			return Digest{}, err
		}
		_, _ = r.hash.Write(r.buf[:n])
		if n == len(r.buf) || n == 0 {
			if now, err := statOf(fd); err != nil || !unchanged(before, &now) {
				return Digest{}, errors.Join(errUnsteady, err)
			}
		}
		if n == 0 {
			return Digest(r.hash.Sum(nil)[:len(Digest{})]), nil
		}
	}
}

func unchanged(a, b *stat) bool {
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim && a.Mode == b.Mode
}

// readLimit is how large a file may be to be read when nothing has happened to it: a second of work.
const readLimit = 256 << 20

// toBeRead notes that there are files in the directory whose content is not known.
func (t *Tree) toBeRead(d *dir) {
	if !d.raw {
		d.raw = true
		t.unread = append(t.unread, d)
	}
}

// read reads the files that were only seen so far, one after the other, and then waits for more.
func (t *Tree) read() {
	for {
		select {
		case <-t.closing:
			return
		case <-t.raw:
			for t.readNext() {
			}
		}
	}
}

// readNext reads the files of one directory.
func (t *Tree) readNext() bool {
	reads, fd, err := t.nextUnread()
	if err != nil || fd < 0 {
		return err != nil // there is another event about it
	}
	defer closeDir(fd)
	for i := range reads {
		if t.ending() {
			return false
		}
		t.yield()
		reads[i].read(fd, t.ending)
		t.wasRead(&reads[i])
	}
	return true
}

// yield lets those go first who wait for a change to be told.
func (t *Tree) yield() {
	if due := t.pending.when(); !due.IsZero() {
		select {
		case <-time.After(time.Until(due)):
		case <-t.closing:
		}
	}
}

// nextUnread opens the next directory with files that are to be read; a negative descriptor: there is none.
func (t *Tree) nextUnread() ([]read, int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.unread) - 1
	if last < 0 {
		t.unread = nil
		return nil, -1, nil
	}
	d := t.unread[last]
	t.unread = t.unread[:last]
	d.raw = false
	var reads []read
	for name, n := range d.names {
		if n.kind() == File && n.digest == (Digest{}) && n.trusted && n.size <= readLimit {
			reads = append(reads, read{dir: d, name: name, follow: len(d.cover) == 0})
		}
	}
	fd, err := d.open(unix.O_PATH)
	return reads, fd, err
}

// wasRead keeps the digest of a file that nothing has happened to since it was seen.
func (t *Tree) wasRead(r *read) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := r.dir.names[r.name]
	switch {
	case r.dir.gone || n == nil || n.kind() != File || n.digest != Digest{}:
	case r.err == nil && n.same(&r.stat):
		n.digest = r.digest
	case r.err != nil && !absent(r.err) && !errors.Is(r.err, errUnsteady) && !errors.Is(r.err, errCut):
		t.tell(cannot("read", r.dir.join(r.name), r.err))
	}
}
