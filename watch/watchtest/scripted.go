// Package watchtest is for tests of what sources of file events are, and of what uses them.
package watchtest

import (
	"maps"
	"slices"
	"sync"

	"stackrun.dev/stack/watch"
)

// Scripted is a source whose events the test makes. It works in virtual time.
type Scripted struct {
	// Refuse says why a directory cannot be watched. nil: all can, those that are not there, too. Set it before the first Add.
	Refuse func(dir string) error

	events  chan watch.Event
	closing chan struct{}
	once    sync.Once
	sending sync.WaitGroup

	mu      sync.Mutex
	watched map[string]bool
	calls   []string
	closed  bool
}

// NewScripted makes a source that watches nothing yet.
func NewScripted() *Scripted {
	return &Scripted{events: make(chan watch.Event), closing: make(chan struct{}), watched: map[string]bool{}}
}

// Add implements watch.Source.
func (s *Scripted) Add(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "add "+dir)
	if s.Refuse != nil {
		if err := s.Refuse(dir); err != nil {
			return err
		}
	}
	s.watched[dir] = true
	return nil
}

// Remove implements watch.Source.
func (s *Scripted) Remove(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "remove "+dir)
	delete(s.watched, dir)
}

// Send tells an event and returns when it was read. After Close it does nothing.
func (s *Scripted) Send(e watch.Event) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.sending.Add(1)
	s.mu.Unlock()
	defer s.sending.Done()
	select {
	case s.events <- e:
	case <-s.closing:
	}
}

// Watched are the directories that are watched now, sorted.
func (s *Scripted) Watched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.watched))
}

// Calls are all there were since the last time it was asked: "add DIR", "remove DIR".
func (s *Scripted) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Events implements watch.Source.
func (s *Scripted) Events() <-chan watch.Event { return s.events }

// Close implements watch.Source.
func (s *Scripted) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.closing)
		s.sending.Wait()
		close(s.events)
	})
	return nil
}
