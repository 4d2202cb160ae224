package fsnotify

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// directory is one that the library watches.
type directory struct {
	path   string // under which the library knows it
	inode  inode
	places []*place // that lead to it
	round  int      // in which the library was last asked to watch it
}

// inode is a directory's own number, which another one gets only when it is gone.
type inode struct{ device, number uint64 }

func inodeOf(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, watchError(err)
	}
	if !info.IsDir() {
		return inode{}, fmt.Errorf("%w as a directory", fs.ErrNotExist)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return inode{uint64(stat.Dev), stat.Ino}, nil
}

// ask has the library watch the directory to which the path leads now.
func (s *Source) ask(path string) (*directory, error) {
	for {
		here, err := inodeOf(path)
		if err != nil {
			return nil, err
		}
		if d := s.inodes[here]; d != nil && s.still(d) {
			return d, nil
		}
		s.forget(s.known[path])
		if err := s.library.Add(path); err != nil {
			return nil, watchError(err)
		}
		d := &directory{path: path, inode: here, round: s.round}
		s.known[path], s.inodes[here] = d, d
		if now, err := inodeOf(path); err == nil && now == here {
			return d, nil
		}
		s.forget(d) // another one came to be there meanwhile
	}
}

// still sees to it that the directory is watched, and forgets it if it is no longer where the library knows it. When events were
// lost, that it has gone and come again may have been among them.
func (s *Source) still(d *directory) bool {
	if d.round == s.round {
		return true
	}
	if now, err := inodeOf(d.path); err == nil && now == d.inode && s.library.Add(d.path) == nil {
		d.round = s.round
		return true
	}
	s.forget(d)
	return false
}

// forget has the library watch the directory no more, which it may have ended by itself. If other paths lead to it still, it is
// watched under one of those.
func (s *Source) forget(d *directory) {
	if d == nil || s.known[d.path] != d {
		return
	}
	delete(s.known, d.path)
	delete(s.inodes, d.inode)
	_ = s.library.Remove(d.path)
	for _, p := range slices.Clone(d.places) {
		if p.path != d.path {
			s.check(p)
		}
	}
}

// gone is told that the directory is no longer where the library knows it.
func (s *Source) gone(d *directory) {
	s.forget(d)
	for _, p := range slices.Clone(d.places) {
		s.check(p)
	}
}
