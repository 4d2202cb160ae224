// Package fsnotify is the source of file events of this machine: the kernel's own, which is asked through inotify.
//
// A directory is known by the kernel's number for it and not by its path, so that one that was renamed, replaced, or added under
// two paths is never taken for another. The library of this name goes by paths; that is why it is not used.
package fsnotify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	places  map[string]*place
	watches map[int32][]*place // by the kernel's number of the directory that they lead to
	round   int                // so often events were lost
}

// New makes a source that watches nothing yet. It fails with a *watch.Limit when this user has as many as he may.
func New() (*Source, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", instanceError(err))
	}
	s := &Source{
		inotify: os.NewFile(uintptr(fd), "inotify"), out: outbox.New(), ended: make(chan struct{}),
		places: map[string]*place{}, watches: map[int32][]*place{},
	}
	go s.run()
	return s, nil
}

// Add implements watch.Source.
func (s *Source) Add(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(dir)
	for s.ready(p, true); s.places[dir] != p; s.ready(p, true) { // it went meanwhile
		p = s.place(dir)
	}
	p.added = true
	if err := s.renew(p); err != nil {
		p.added = false
		s.release(p)
		return fmt.Errorf("cannot watch %s: %w", dir, err)
	}
	return blind(dir)
}

// Remove implements watch.Source.
func (s *Source) Remove(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[dir]
	if p == nil || !p.added {
		return
	}
	p.added = false
	if p.below > 0 {
		s.narrow(p)
	}
	s.release(p)
}

// ask has the kernel watch the directory at the path and returns the kernel's number of it.
func (s *Source) ask(dir string, interest uint32) (int32, error) {
	var wd int
	err := s.control(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, dir, interest|unix.IN_ONLYDIR)
		return err
	})
	return int32(wd), watchError(err)
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
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
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

// handle tells what has happened to a directory under all the paths that lead to it.
func (s *Source) handle(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		s.round++
		s.out.Put(watch.Event{Lost: true})
		return
	}
	places := s.watches[e.wd]
	if e.mask&(ended|unix.IN_MOVE_SELF|ofNames) != 0 {
		places = slices.Clone(places) // they may be fewer or more after a check
	}
	if e.mask&ended != 0 {
		delete(s.watches, e.wd)
		for _, p := range places {
			p.wd = 0
		}
	}
	for _, p := range places {
		s.tell(p, e)
	}
}

// ended are the events after which the kernel does not watch the directory any more.
const ended = unix.IN_DELETE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED

func (s *Source) tell(p *place, e event) {
	if e.mask&(ended|unix.IN_MOVE_SELF) != 0 {
		s.check(p)
		return
	}
	if p.added {
		s.out.Put(watch.Event{Dir: p.path, Name: e.name})
	}
	if e.mask&ofNames == 0 || p.below == 0 {
		return
	}
	if q := s.places[filepath.Join(p.path, e.name)]; q != nil {
		s.check(q)
	}
}
