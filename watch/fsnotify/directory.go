package fsnotify

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch/internal/identity"
)

// directory is one that the library watches.
type directory struct {
	path   string // under which the library knows it
	id     identity.Identity
	places []*place // that lead to it
	round  int      // in which the library was last asked to watch it
}

// identify says which directory is at the path.
func identify(path string) (identity.Identity, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Stat(path, &st)
	}
	if err != nil {
		return identity.Identity{}, watchError(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return identity.Identity{}, watchError(unix.ENOTDIR)
	}
	return identity.Of(unix.AT_FDCWD, path, &st), nil
}

// ask has the library watch the directory to which the path leads now.
func (s *Source) ask(path string) (*directory, error) {
	for tries := 1; ; tries++ {
		here, err := identify(path)
		if err != nil {
			return nil, err
		}
		if d := s.directories[here]; d != nil && s.still(d) {
			return d, nil
		}
		s.forget(s.known[path])
		if err := s.library.Add(path); err != nil {
			return nil, watchError(err)
		}
		d := &directory{path: path, id: here, round: s.round}
		s.known[path], s.directories[here] = d, d
		if now, err := identify(path); err == nil && now == here || tries == mostTries {
			return d, nil
		}
		s.forget(d) // another one came to be there meanwhile
	}
}

// mostTries is how often the directory at a path may be another one than the moment before. On some file systems that programs keep
// it always is.
const mostTries = 10

// still sees to it that the directory is watched, and forgets it if it is no longer where the library knows it. When events were
// lost, that it has gone and come again may have been among them.
func (s *Source) still(d *directory) bool {
	if d.round == s.round {
		return true
	}
	if now, err := identify(d.path); err == nil && now == d.id && s.library.Add(d.path) == nil {
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
	delete(s.directories, d.id)
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
