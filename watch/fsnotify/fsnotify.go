// Package fsnotify is the source of file events of this machine: the kernel's own, which is asked through inotify.
//
// A directory is known by the kernel's number for it and not by its path, so that one that was renamed, replaced, or added under
// two paths is never taken for another.
package fsnotify

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/internal/outbox"
)

// Source watches directories through the kernel. It implements watch.Source.
type Source struct {
	inotify *os.File
	out     *outbox.Outbox
	ended   chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	watches map[int32][]string // the paths that lead to the directory with this number
	dirs    map[string]int32   // the other way round
}

// New makes a source that watches nothing yet. It fails with a *watch.Limit when this user has as many as he may.
func New() (*Source, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", instanceError(err))
	}
	s := &Source{
		inotify: os.NewFile(uintptr(fd), "inotify"), out: outbox.New(), ended: make(chan struct{}),
		watches: map[int32][]string{}, dirs: map[string]int32{},
	}
	go s.run()
	return s, nil
}

// Watcher makes a watch.Watcher with a source of its own.
func Watcher() (*watch.Watcher, error) {
	s, err := New()
	if err != nil {
		return nil, err
	}
	return watch.New(s), nil
}

// interest is what is asked of the kernel. A file that was written through a mapping is only known by its being closed.
const interest = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// Add implements watch.Source. The kernel knows what it watches already, so it is always asked: what is known here may be out
// of date after lost events.
func (s *Source) Add(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wd, err := s.ask(dir)
	if err != nil {
		s.forget(dir)
		return fmt.Errorf("cannot watch %s: %w", dir, err)
	}
	if before, known := s.dirs[dir]; !known || before != wd {
		s.forget(dir)
		s.dirs[dir] = wd
		s.watches[wd] = append(s.watches[wd], dir)
	}
	return blind(dir)
}

// ask has the kernel watch the directory that is at the path by now.
func (s *Source) ask(dir string) (int32, error) {
	var wd int
	err := s.control(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, dir, interest|unix.IN_ONLYDIR|unix.IN_EXCL_UNLINK)
		return err
	})
	return int32(wd), watchError(err)
}

// Remove implements watch.Source.
func (s *Source) Remove(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(dir)
}

// forget ends the watching of a path, and of the directory if no other path leads to it.
func (s *Source) forget(dir string) {
	wd, known := s.dirs[dir]
	if !known {
		return
	}
	delete(s.dirs, dir)
	others := slices.DeleteFunc(s.watches[wd], func(d string) bool { return d == dir })
	if len(others) > 0 {
		s.watches[wd] = others
		return
	}
	delete(s.watches, wd)
	s.dismiss(wd)
}

// dismiss has the kernel watch it no more. It may have ended that by itself.
func (s *Source) dismiss(wd int32) {
	_ = s.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd))
		return err
	})
}

// control runs the function with the descriptor, unless that is closed.
func (s *Source) control(do func(fd int) error) error {
	raw, err := s.inotify.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// Events implements watch.Source.
func (s *Source) Events() <-chan watch.Event { return s.out.Events() }

// Close implements watch.Source.
func (s *Source) Close() error {
	err := s.inotify.Close()
	<-s.ended
	s.out.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
