package tree

import (
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// node is what was seen under a name. It is kept small: there may be a hundred thousand.
type node struct {
	size         int64
	mtime, ctime int64 // in nanoseconds since 1970
	ino, dev     uint64
	mode         uint32 // as the kernel has it, with the kind
	trusted      bool   // another file, or another content, would have other times
	followed     bool   // a symbolic link is at the path, and this is what it leads to
	digest       Digest
	dir          *dir   // of a directory
	link         string // of a symbolic link
}

// dir is a directory that is watched: because it is covered by roots, or because a root is somewhere below it.
type dir struct {
	path   string
	parent *dir // nil: it is the top of the file system
	names  map[string]*node
	cover  []*Root // for which it counts; the slice is shared. None: only what leads to a root is in names

	listed bool // names has all that counts
	queued bool // a pass is to list it
	raw    bool // it is among those whose files are to be read
	gone   bool // it is no part of the tree any more
}

// stat is what the kernel says about a path.
type stat struct {
	unix.Stat_t
	clock int64 // when it was asked
}

func (s *stat) kind() Kind { return kindOf(s.Mode) }

func kindOf(mode uint32) Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return File
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Link
	default:
		return None
	}
}

// How far the times of files may lag behind the clock. It is the kernel's tick, with room for a busy machine; or on
// file systems without fractions of seconds what FAT has.
const (
	clockStep       = int64(20 * time.Millisecond)
	coarseClockStep = int64(2100 * time.Millisecond)
)

// recent says that what was written right after the stat could have the same times, or that they are of a clock that is ahead.
func (s *stat) recent() bool {
	step := clockStep
	if s.Ctim.Nsec == 0 && s.Mtim.Nsec == 0 {
		step = coarseClockStep
	}
	return max(unix.TimespecToNsec(s.Ctim), unix.TimespecToNsec(s.Mtim)) >= s.clock-step
}

// fromJustNow says that it was changed so short a time ago that more may follow.
func (s *stat) fromJustNow() bool {
	age := s.clock - unix.TimespecToNsec(s.Ctim)
	return age >= 0 && age < int64(settling)
}

// set takes over what the kernel says. What is known beyond that stays.
func (n *node) set(s *stat) {
	n.size, n.mode, n.ino, n.dev = s.Size, s.Mode, s.Ino, uint64(s.Dev)
	n.mtime, n.ctime = unix.TimespecToNsec(s.Mtim), unix.TimespecToNsec(s.Ctim)
	n.trusted = !s.recent()
}

// same says that neither another file nor another content nor other permissions can be seen.
func (n *node) same(s *stat) bool {
	return n.sameInode(s) && n.mode == s.Mode && n.size == s.Size &&
		n.mtime == unix.TimespecToNsec(s.Mtim) && n.ctime == unix.TimespecToNsec(s.Ctim)
}

func (n *node) sameInode(s *stat) bool { return n.ino == s.Ino && n.dev == uint64(s.Dev) }

func (n *node) kind() Kind { return kindOf(n.mode) }

// entry is the node for those outside. A directory that only leads to a root is not there for them.
func (n *node) entry() Entry {
	if n == nil || n.dir != nil && len(n.dir.cover) == 0 {
		return Entry{}
	}
	e := Entry{Kind: n.kind(), Mode: modeOf(n.mode), ModTime: time.Unix(0, n.mtime)}
	switch e.Kind {
	case File:
		e.Size, e.Digest = n.size, n.digest
	case Link:
		e.Mode, e.Link = fs.ModePerm, n.link
	}
	return e
}

func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for _, bit := range []struct {
		is   uint32
		mode fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if mode&bit.is != 0 {
			m |= bit.mode
		}
	}
	return m
}

// join is the path of an entry.
func (d *dir) join(name string) string {
	if d.parent == nil {
		return d.path + name
	}
	return d.path + "/" + name
}

// name is that under which the parent has it.
func (d *dir) name() string { return d.path[strings.LastIndexByte(d.path, '/')+1:] }

// root is the highest directory above it, or itself, that is covered without one in between that is not.
func (d *dir) root() *dir {
	for d.parent != nil && len(d.parent.cover) > 0 {
		d = d.parent
	}
	return d
}

// toBeListed says that the directory, or one above it, is to be listed anyhow.
func (d *dir) toBeListed() bool {
	for ; d != nil; d = d.parent {
		if d.queued {
			return true
		}
	}
	return false
}

// sorted are the names in their order.
func (d *dir) sorted() []string {
	names := make([]string, 0, len(d.names))
	for name := range d.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
