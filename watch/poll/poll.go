// Package poll is a source of file events that looks again and again. It is for file systems whose events do not reach this
// machine, and for when the kernel has no room for more watches.
package poll

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/internal/outbox"
)

// Interval is how long it rests between two looks if nothing else is said.
const Interval = time.Second

// Source looks at all directories in one pass and rests after it. It implements watch.Source.
type Source struct {
	interval time.Duration
	out      *outbox.Outbox
	added    chan struct{}
	closing  chan struct{}
	ended    chan struct{}
	once     sync.Once

	mu   sync.Mutex
	dirs map[string]*directory
}

// New makes a source that watches nothing yet. It rests for the interval after each pass; 0 stands for Interval.
func New(interval time.Duration) *Source {
	if interval <= 0 {
		interval = Interval
	}
	s := &Source{
		interval: interval, out: outbox.New(), dirs: map[string]*directory{},
		added: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go s.run()
	return s
}

// Add implements watch.Source.
func (s *Source) Add(dir string) error {
	s.mu.Lock()
	before := s.dirs[dir]
	s.mu.Unlock()
	if before != nil && before.isStill(dir) {
		return nil
	}
	now, err := look(dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.dirs, dir)
		return fmt.Errorf("cannot watch %s: %w", dir, plain(err))
	}
	s.dirs[dir] = now
	select {
	case s.added <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// plain is the error without the path that it names, and one that is easily told where there is no directory.
func plain(err error) error {
	if errors.Is(err, errNoDirectory) {
		return fmt.Errorf("%w as a directory", fs.ErrNotExist)
	}
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// Remove implements watch.Source.
func (s *Source) Remove(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dirs, dir)
}

// Events implements watch.Source.
func (s *Source) Events() <-chan watch.Event { return s.out.Events() }

// Close implements watch.Source. A look at a directory that is under way is awaited.
func (s *Source) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.ended
	s.out.Close()
	return nil
}

// run makes one pass after the other as long as there is anything to look at.
func (s *Source) run() {
	defer close(s.ended)
	for {
		select {
		case <-s.added:
		case <-s.closing:
			return
		}
		for s.rest() && s.pass() {
		}
	}
}

// rest says whether to go on.
func (s *Source) rest() bool {
	timer := time.NewTimer(s.interval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}

// pass looks at all directories once and says whether there were any.
func (s *Source) pass() bool {
	s.mu.Lock()
	dirs := make([]string, 0, len(s.dirs))
	for dir := range s.dirs {
		dirs = append(dirs, dir)
	}
	s.mu.Unlock()
	slices.SortFunc(dirs, strings.Compare) // what is above is told first
	for _, dir := range dirs {
		select {
		case <-s.closing:
			return false
		default:
			s.again(dir)
		}
	}
	return len(dirs) > 0
}

// again looks at a directory and tells what differs. One that is gone or another one is given up: who is told adds what is there
// by then. One whose own times differ is told, too: somebody may have seen an entry in it that came after the one look and went
// before the other.
func (s *Source) again(dir string) {
	s.mu.Lock()
	before := s.dirs[dir]
	s.mu.Unlock()
	if before == nil {
		return
	}
	now, err := look(dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs[dir] != before {
		return // it was removed or added anew in the meantime
	}
	if err != nil || now.id != before.id {
		delete(s.dirs, dir)
		s.out.Put(watch.Event{Dir: dir})
		return
	}
	if before.self.maybe(now.self) {
		s.out.Put(watch.Event{Dir: dir})
	}
	s.dirs[dir] = now
	before.differences(now, func(name string) { s.out.Put(watch.Event{Dir: dir, Name: name}) })
}
