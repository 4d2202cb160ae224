// Package fsnotify is the source of file events of this machine: the kernel's own, through the library of the same name.
//
// The library knows directories by their paths. This package adds what that does not tell: which directory a path leads to, so
// that one that was renamed, replaced, or added under two paths is never taken for another.
package fsnotify

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/internal/identity"
	"stackrun.dev/stack/watch/internal/outbox"
)

// Source watches directories through the kernel. It implements watch.Source.
type Source struct {
	library *fsnotify.Watcher
	out     *outbox.Outbox
	lost    chan struct{} // has a value when events were lost
	ended   chan struct{} // closed when nothing is read any more

	mu          sync.Mutex
	places      map[string]*place
	known       map[string]*directory // by the path under which the library knows it
	directories map[identity.Identity]*directory
	round       int // so often events were lost
}

// New makes a source that watches nothing yet. It fails with a *watch.Limit when this user has as many as he may.
func New() (*Source, error) {
	library, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", instanceError(err))
	}
	s := &Source{
		library: library, out: outbox.New(), lost: make(chan struct{}, 1), ended: make(chan struct{}),
		places: map[string]*place{}, known: map[string]*directory{}, directories: map[identity.Identity]*directory{},
	}
	go s.errors()
	go s.run()
	return s, nil
}

// Add implements watch.Source.
func (s *Source) Add(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(dir)
	for s.ready(p.above); s.places[dir] != p; s.ready(p.above) { // it went meanwhile
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
	if p := s.places[dir]; p != nil && p.added {
		p.added = false
		s.release(p)
	}
}

// Events implements watch.Source.
func (s *Source) Events() <-chan watch.Event { return s.out.Events() }

// Close implements watch.Source.
func (s *Source) Close() error {
	s.mu.Lock() // the library is asked for nothing meanwhile: its descriptor's number may be another file's by then
	err := s.library.Close()
	s.mu.Unlock()
	<-s.ended
	s.out.Close()
	return err
}

// errors takes the library's errors. It waits for nothing, because the library may hold its lock until they are taken.
func (s *Source) errors() {
	for err := range s.library.Errors {
		if errors.Is(err, unix.EINVAL) {
			continue // it could not end the watching of what was moved and is gone by now: nothing was lost
		}
		select {
		case s.lost <- struct{}{}:
		default: // one tells as much as two
		}
	}
}

// run takes the library's events as fast as they come.
func (s *Source) run() {
	defer close(s.ended)
	for {
		select {
		case e, open := <-s.library.Events:
			if !open {
				return
			}
			s.handle(e)
		case <-s.lost:
			s.mu.Lock()
			s.round++
			s.mu.Unlock()
			s.out.Put(watch.Event{Lost: true})
		}
	}
}

// handle tells what has happened in a directory under all the paths that lead to it. What happens to a directory itself has the
// same name as what happens to the entry in the one above it.
func (s *Source) handle(e fsnotify.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Clean(e.Name)
	itself := s.known[path]
	if itself != nil && e.Has(fsnotify.Remove|fsnotify.Rename) {
		s.gone(itself)
	}
	if d := s.known[filepath.Dir(path)]; d != nil && d != itself {
		for _, p := range slices.Clone(d.places) { // they may be fewer or more after a check
			s.tell(p, filepath.Base(path), e)
		}
	}
	if itself != nil && e.Has(fsnotify.Chmod) {
		for _, p := range itself.places {
			s.changed(p)
		}
	}
}

// tell tells of an entry, and looks after the directory that may be there.
func (s *Source) tell(p *place, name string, e fsnotify.Event) {
	if p.added {
		s.out.Put(watch.Event{Dir: p.path, Name: name})
	}
	if p.below == 0 || !e.Has(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) {
		return
	}
	if q := s.places[filepath.Join(p.path, name)]; q != nil {
		s.check(q)
	}
}

// changed tells that something has happened to a directory itself.
func (s *Source) changed(p *place) {
	if p.added {
		s.out.Put(watch.Event{Dir: p.path})
	}
}
