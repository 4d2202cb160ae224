package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// call is one thing that was done to a service.
type call struct {
	service, what string
	began, ended  time.Time
	err           error
	work          Work
}

// fate is what becomes of a call.
type fate struct {
	takes time.Duration
	err   error
	hangs bool // until it is cancelled
}

// stage is Actions whose services are trees in memory, and whose calls take the time and come to the ends that a script says.
type stage struct {
	source *source
	fate   func(service, what string) fate

	rebuilt func(service string) // a rebuild has succeeded

	mu       sync.Mutex
	replicas map[string]map[string]tree.Entry // by service: what its containers have
	busy     map[string]string
	calls    []call
	faults   []string
}

func newStage(s *source) *stage {
	return &stage{
		source: s, fate: func(string, string) fate { return fate{} }, rebuilt: func(string) {},
		replicas: map[string]map[string]tree.Entry{}, busy: map[string]string{},
	}
}

var _ Actions = (*stage)(nil)

// decide says what becomes of calls from now on.
func (s *stage) decide(fate func(service, what string) fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = fate
}

// begin notes a call, which ends when the function is called.
func (s *stage) begin(service, what string, work Work) (fate, func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.busy[service]; other != "" {
		s.faults = append(s.faults, fmt.Sprintf("%s of %s began while %s ran", what, service, other))
	}
	s.busy[service] = what
	i := len(s.calls)
	s.calls = append(s.calls, call{service: service, what: what, began: time.Now(), work: work})
	return s.fate(service, what), func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy[service] = ""
		s.calls[i].ended, s.calls[i].err = time.Now(), err
	}
}

func (s *stage) do(ctx context.Context, service, what string, work Work, half func(whole bool)) (err error) {
	f, end := s.begin(service, what, work)
	defer func() { end(err) }()
	if f.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	for range 2 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.takes / 2):
		}
		if half != nil {
			half(f.err == nil)
		}
		half = nil
	}
	return f.err
}

func (s *stage) Sync(ctx context.Context, service string, work Work) (Synced, error) {
	s.check(service, work)
	var done Synced
	err := s.do(ctx, service, "sync", work, func(whole bool) {
		if !whole {
			work.Files = work.Files[:len(work.Files)/2]
		}
		done = s.apply(service, work)
	})
	return done, err
}

func (s *stage) Restart(ctx context.Context, service string, only []string) (time.Duration, error) {
	return 0, s.do(ctx, service, strings.Join(append([]string{"restart"}, only...), " "), Work{}, nil)
}

func (s *stage) Signal(ctx context.Context, service, signal string) error {
	return s.do(ctx, service, "signal "+signal, Work{}, nil)
}

func (s *stage) Exec(ctx context.Context, service string, hook types.ServiceHook, only []string) error {
	return s.do(ctx, service, strings.Join(slices.Concat([]string{"exec"}, hook.Command, only), " "), Work{}, nil)
}

func (s *stage) Rebuild(ctx context.Context, service string) (time.Duration, error) {
	err := s.do(ctx, service, "rebuild", Work{}, nil)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rebuilt(service)
	}
	return 0, err
}

// check holds a Work to its contract.
func (s *stage) check(service string, w Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range w.Files {
		if i > 0 && w.Files[i-1].Target >= f.Target || f.Entry.Kind == tree.None {
			s.faults = append(s.faults, fmt.Sprintf("files of %s are not sorted or not there: %q", service, lines(w)))
		}
	}
	for i, p := range w.Remove {
		for _, above := range w.Remove[:i] {
			if p != above && within(p, above) && !slices.Contains(w.Remove[i+1:], above) {
				s.faults = append(s.faults, fmt.Sprintf("%s of %s is removed before %s, and not after it", above, service, p))
			}
		}
	}
	if len(w.Files)+len(w.Remove) == 0 {
		s.faults = append(s.faults, "there is nothing to do for "+service)
	}
}

// apply does what an engine would: what a file has by now is copied, not what it had.
func (s *stage) apply(service string, w Work) Synced {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Synced{Containers: 1}
	replica := s.replica(service)
	for _, p := range w.Remove {
		if e, ok := replica[p]; ok && (e.Kind != tree.Dir || !hasBelow(replica, p)) {
			delete(replica, p)
			out.Removed.Files++
		}
	}
	for _, f := range w.Files {
		if w.Compare && replica[f.Target] == f.Entry {
			continue
		}
		e := s.source.now(f.Source)
		if e != f.Entry {
			out.Unsettled = append(out.Unsettled, f.Source)
		}
		if e.Kind == f.Entry.Kind {
			write(replica, f.Target, e)
			out.Written.Files++
			if w.Compare && e.Kind != tree.Dir {
				out.Changed = append(out.Changed, f.Source)
			}
		}
	}
	return out
}

func (s *stage) replica(service string) map[string]tree.Entry {
	if s.replicas[service] == nil {
		s.replicas[service] = map[string]tree.Entry{}
	}
	return s.replicas[service]
}

func write(replica map[string]tree.Entry, target string, e tree.Entry) {
	for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
		if replica[dir].Kind != tree.Dir {
			replica[dir] = entryOf("dir")
		}
	}
	if e.Kind != tree.Dir {
		maps.DeleteFunc(replica, func(p string, _ tree.Entry) bool { return within(p, target) })
	}
	replica[target] = e
}

func hasBelow(replica map[string]tree.Entry, dir string) bool {
	for p := range replica {
		if p != dir && within(p, dir) {
			return true
		}
	}
	return false
}

// log is what was done so far, in the order in which it began.
func (s *stage) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, c := range s.calls {
		line := c.service + " " + c.what
		if c.what == "sync" {
			line += " " + strings.Join(lines(c.work), ", ")
		}
		if errors.Is(c.err, context.Canceled) {
			line += " cancelled"
		}
		out = append(out, line)
	}
	return out
}

// quiet says whether nothing runs.
func (s *stage) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(slices.Collect(maps.Values(s.busy)), func(what string) bool { return what != "" })
}

// of are the rules for the service.
func of(service string, list ...*rules.Rule) []*rules.Rule {
	for _, r := range list {
		r.Service = service
	}
	return list
}
