package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"stackrun.dev/stack/watch/rules"
)

// Options belong to New.
type Options struct {
	// Report is told of each thing that was done, one at a time. Nothing else happens to the service meanwhile.
	Report func(Report)
}

// Session carries out rules. What fails is reported and does not end it: files that could not be copied are copied again with the
// next change of the service; the rest waits for a change that asks for it.
type Session struct {
	files   Files
	actions Actions
	report  func(Report)
	workers map[string]*worker
	gone    sync.WaitGroup

	asked chan struct{} // has one element when there is something in what follows
	mu    sync.Mutex
	rules []*rules.Rule
	fresh bool            // rules have not been looked at
	again map[string]bool // services whose containers are new
}

// New returns a session that does nothing before Run.
func New(files Files, actions Actions, o Options) *Session {
	s := &Session{
		files: files, actions: actions, workers: map[string]*worker{}, asked: make(chan struct{}, 1), again: map[string]bool{},
	}
	var mu sync.Mutex
	s.report = func(r Report) {
		if o.Report != nil {
			mu.Lock()
			defer mu.Unlock()
			o.Report(r)
		}
	}
	return s
}

// Update says what the rules are from now on. What a service does whose rules are gone is ended; a rebuild that no rule asks for any
// more, too. Files that a rule does not match any more stay in the containers. It may be called at any time.
func (s *Session) Update(list []*rules.Rule) {
	s.ask(func() { s.rules, s.fresh = slices.Clone(list), true })
}

// Renewed says that containers of the service are new, or may have missed something: all that the rules copy is compared. What a
// Sync with Compare reaches that begins after this needs no further word. It may be called at any time and does not wait.
func (s *Session) Renewed(service string) {
	s.ask(func() { s.again[service] = true })
}

func (s *Session) ask(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, which is no error, or nothing can be watched any more. When it returns, nothing runs: it waits
// for what its cancelled context ends, a Watch of the Files too. It is called once.
func (s *Session) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	looking := make(chan error, 1)
	busy := false // looking will be told of the tree
	defer func() {
		end()
		s.gone.Wait()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.asked: // other rules, new containers
			busy = busy || s.look(ctx, looking)
			s.renew()
		case err := <-looking: // the tree knows what the rules name
			busy = false
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return fmt.Errorf("cannot watch: %w", err)
			}
			s.broadcast(seen{time.Now()})
			s.ask(func() {})
		case b, ok := <-s.files.Batches(): // files have changed
			if !ok {
				return errors.New("cannot watch any longer: the source of events has ended")
			}
			s.broadcast(changed{changes(b.Changes), b.Since})
		}
	}
}

// look has the tree look for what new rules name, and reports whether there are any. How it ended is told.
func (s *Session) look(ctx context.Context, told chan<- error) bool {
	s.mu.Lock()
	list, fresh := s.rules, s.fresh
	s.fresh = false
	s.mu.Unlock()
	if fresh {
		s.assign(ctx, list)
		s.gone.Go(func() { told <- s.files.Watch(ctx, rules.Roots(list)) })
	}
	return fresh
}

// renew tells the workers of services that have new containers.
func (s *Session) renew() {
	s.mu.Lock()
	again := slices.Sorted(maps.Keys(s.again))
	clear(s.again)
	s.mu.Unlock()
	for _, service := range again {
		if w := s.workers[service]; w != nil {
			w.inbox.put(renewed{time.Now()})
		}
	}
}

// assign gives each service its rules, and a worker to those that have none. One whose rules are gone keeps its worker, which has
// nothing to do: it may still be ending what it did when the service comes back.
func (s *Session) assign(ctx context.Context, list []*rules.Rule) {
	own := map[string][]*rules.Rule{}
	for service := range s.workers {
		own[service] = nil
	}
	for _, r := range list {
		own[r.Service] = append(own[r.Service], r)
	}
	for _, service := range slices.Sorted(maps.Keys(own)) {
		w := s.workers[service]
		if w == nil {
			w = newWorker(service, s.files, s.actions, s.report)
			s.workers[service] = w
			s.gone.Go(func() { w.run(ctx) })
		}
		w.inbox.put(updated{own[service]})
	}
}

func (s *Session) broadcast(e event) {
	for _, w := range s.workers {
		w.inbox.put(e)
	}
}
