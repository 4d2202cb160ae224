package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// seed is STACK_WATCH_SEED, or another one each time.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("STACK_WATCH_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestSchedules plays random ones: edits, batches, new containers, rebuilds, calls that take their time, fail or hang.
func TestSchedules(t *testing.T) {
	first := seed(t)
	count := uint64(400)
	if testing.Short() {
		count = 40
	}
	for n := first; n < first+count && !t.Failed(); n++ {
		synctest.Test(t, func(t *testing.T) {
			newSchedule(n).play(t)
			if t.Failed() {
				t.Logf("STACK_WATCH_SEED=%d", n)
			}
		})
	}
}

// schedule is one random course of things.
type schedule struct {
	*rand.Rand
	*runs
	own     map[string]*rand.Rand // of each service, so that it does not matter which is called first
	rules   []*rules.Rule
	updates bool // the rules change, too: what is deleted while no rule is about it stays in the target
	images  map[string]map[string]tree.Entry
	asked   []asked
	calm    bool // nothing fails any more
}

// asked is a change of which a rule has to hear.
type asked struct {
	rule *rules.Rule
	path string
	at   time.Time
}

var (
	services = []string{"web", "job"}
	// foreign is what the containers have of their own.
	foreign = []string{"/app/own/x", "/app/keep/own", "/other"}
	places  = []string{"/src", "/src", "/src", "/more", "/fresh", "/make", "/again", "/hup", "/run", "/build"}
	names   = []string{"a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "f/a", "keep/a", "keep/b"}
	texts   = []string{"", "", "", "1", "2", "3", "4", "dir", "-> a", "-> d"}
)

func newSchedule(n uint64) *schedule {
	s := &schedule{
		Rand: rand.New(rand.NewPCG(n, 0)), own: map[string]*rand.Rand{}, images: map[string]map[string]tree.Entry{},
	}
	for i, service := range services {
		s.own[service] = rand.New(rand.NewPCG(n, uint64(i)+1))
	}
	s.updates = s.IntN(4) == 0
	s.rules = slices.Concat(of("web", every()...), of("web", to("/more", "/app")), of("job", to("/src", "/app"), plainRule("/build", rules.Rebuild)))
	s.rules[0].Path = "/src"
	s.Shuffle(len(s.rules), func(i, j int) { s.rules[i], s.rules[j] = s.rules[j], s.rules[i] })
	for _, r := range s.rules {
		r.Compare = s.updates || r.Compare && s.IntN(2) == 0
	}
	return s
}

func (s *schedule) play(t *testing.T) {
	s.runs = &runs{source: newSource(), ended: make(chan error, 1)}
	for range 30 {
		s.edit()
	}
	s.source.take()
	s.runs.stage = newStage(s.source)
	s.stage.fate, s.rebuilt = s.chance, s.replace
	for _, service := range services {
		s.images[service] = s.image(service)
		s.replicas[service] = maps.Clone(s.images[service])
	}
	s.spoil()
	s.Session = New(s.source, s.stage, Options{})
	s.Update(s.rules)
	ctx, cancel := context.WithCancel(t.Context())
	s.runs.cancel = cancel
	go func() { s.ended <- s.Run(ctx) }()
	for range 60 {
		s.move(t)
	}
	if s.IntN(4) > 0 {
		s.rest(t)
	}
	s.end(t)
}

// move is one thing that happens.
func (s *schedule) move(t *testing.T) {
	switch n := s.IntN(22); {
	case n < 11:
		s.edit()
	case n < 16:
		s.tellAll(t)
	case n < 17:
		s.source.look()
	case n < 18:
		s.flip(t)
	case n < 19:
		s.renew(services[s.IntN(len(services))])
	case n < 20 && s.updates:
		s.Update(slices.DeleteFunc(slices.Clone(s.rules), func(r *rules.Rule) bool { return s.IntN(3) == 0 }))
	default:
		time.Sleep(time.Duration(s.IntN(200)) * time.Millisecond)
	}
}

// edit changes something. A directory that has files of the container's own never becomes a file.
func (s *schedule) edit() {
	dir, name, text := places[s.IntN(len(places))], names[s.IntN(len(names))], texts[s.IntN(len(texts))]
	file := path.Join(dir, name)
	s.put(file, text)
}

// flip writes a file, which may just be copied, and takes that back before anybody looks.
func (s *schedule) flip(t *testing.T) {
	file := "/src/" + names[s.IntN(3)]
	s.put(file, "5")
	s.tellAll(t)
	time.Sleep(time.Duration(s.IntN(15)) * time.Millisecond)
	s.put(file, "6")
	time.Sleep(time.Duration(s.IntN(15)) * time.Millisecond)
	s.put(file, "5")
}

// tellAll has the session told of what has changed. A rebuild that this is about ends at once.
func (s *schedule) tellAll(t *testing.T) {
	b := s.source.take()
	if len(b.Changes) == 0 {
		return
	}
	running := s.rebuilds()
	for _, c := range b.Changes {
		for _, r := range s.rules {
			if matching(r, c.Path, asOf(c.Was.Kind)|asOf(c.Is.Kind))&asFile != 0 {
				s.asked = append(s.asked, asked{r, c.Path, time.Now()})
			}
		}
	}
	s.batches <- b
	synctest.Wait()
	if s.updates || !slices.ContainsFunc(b.Changes, func(c tree.Change) bool {
		return within(c.Path, "/build") && (asOf(c.Was.Kind)|asOf(c.Is.Kind))&asFile != 0
	}) {
		return
	}
	still := s.rebuilds()
	for _, i := range running {
		if slices.Contains(still, i) {
			t.Errorf("a rebuild went on when there was a newer change of what is built")
		}
	}
}

// rebuilds are the indexes of calls of rebuilds that have not ended.
func (s *schedule) rebuilds() []int {
	synctest.Wait()
	s.stage.mu.Lock()
	defer s.stage.mu.Unlock()
	var out []int
	for i, c := range s.calls {
		if c.what == "rebuild" && c.ended.IsZero() {
			out = append(out, i)
		}
	}
	return out
}

// chance is what becomes of a call. It is asked with the stage locked.
func (s *schedule) chance(service, what string) fate {
	own := s.own[service]
	f := fate{takes: time.Duration(own.IntN(40)) * time.Millisecond}
	if what == "rebuild" {
		f.takes *= 20
	}
	if own.IntN(5) == 0 && !s.calm {
		f.err = errors.New("no")
	}
	f.hangs = own.IntN(5) == 0 && what == "rebuild" && !s.calm && !s.updates
	return f
}

// renew puts new containers in place.
func (s *schedule) renew(service string) {
	s.stage.mu.Lock()
	s.replicas[service] = maps.Clone(s.images[service])
	s.stage.mu.Unlock()
	s.Renewed(service)
}

// replace is what a rebuild does when it has succeeded: sometimes there is another image, and new containers are seen a little later.
func (s *schedule) replace(service string) {
	if s.own[service].IntN(2) == 0 {
		return
	}
	s.replicas[service] = maps.Clone(s.images[service])
	lag := time.Duration(s.own[service].IntN(20)) * time.Millisecond
	time.AfterFunc(lag, func() { s.Renewed(service) })
}

// image is what the service's containers are made of: the source by now, and what they have of their own.
func (s *schedule) image(service string) map[string]tree.Entry {
	out := expected(s.disk, s.rules, service)
	for _, p := range foreign {
		write(out, p, entryOf("own"))
	}
	return out
}

// spoil makes containers other than their image where that is found out by comparing.
func (s *schedule) spoil() {
	if slices.ContainsFunc(s.rules, func(r *rules.Rule) bool { return r.Action.Syncs() && !r.Compare }) {
		return
	}
	for p, e := range s.replicas["web"] {
		if e.Kind == tree.File && e != entryOf("own") && s.IntN(3) == 0 {
			s.replicas["web"][p] = entryOf("other")
		}
	}
}

// rest lets everything come to its end, with nothing failing any more, and looks at what has become of it.
func (s *schedule) rest(t *testing.T) {
	s.stage.mu.Lock()
	s.calm = true
	s.stage.mu.Unlock()
	s.Update(s.rules)
	last := []string{"/src/last"} // what has failed is tried again
	if len(s.rebuilds()) > 0 {
		last = append(last, "/build/last") // what hangs is begun anew
	}
	for _, file := range last {
		s.put(file, fmt.Sprint(s.IntN(1000)))
	}
	s.tellAll(t)
	time.Sleep(time.Minute)
	synctest.Wait()
	before := len(s.log())
	time.Sleep(24 * time.Hour)
	synctest.Wait()
	if later := s.log()[before:]; len(later) > 0 {
		t.Errorf("idle, but: %v", later)
	}
	s.stage.mu.Lock()
	defer s.stage.mu.Unlock()
	for _, service := range services {
		s.compare(t, service)
	}
	if !s.updates {
		s.covered(t)
	}
}

// compare looks whether the service's containers have what the rules say.
func (s *schedule) compare(t *testing.T, service string) {
	want, got := s.image(service), s.replicas[service]
	for p := range want {
		if got[p] != want[p] {
			t.Errorf("%s has %v at %s, want %v", service, got[p], p, want[p])
		}
	}
	for p, e := range got {
		if _, ok := want[p]; !ok && !s.updates && !s.base(p) {
			t.Errorf("%s has %v at %s, want nothing", service, e, p)
		}
	}
}

// base says whether it is the directory that a rule copies to, which the container keeps.
func (s *schedule) base(target string) bool {
	return slices.ContainsFunc(s.rules, func(r *rules.Rule) bool { return r.Target == target })
}

// covered looks whether each change was followed by what its rule asks for, or by what makes that needless.
func (s *schedule) covered(t *testing.T) {
	for _, a := range s.asked {
		if !slices.ContainsFunc(s.calls, func(c call) bool {
			return c.service == a.rule.Service && !c.began.Before(a.at) && !errors.Is(c.err, context.Canceled) && answers(c, a.rule)
		}) {
			t.Errorf("nothing was done for %s of %s after %s had changed", a.rule.Action, a.rule.Service, a.path)
		}
	}
}

func answers(c call, r *rules.Rule) bool {
	if c.what == "rebuild" && (c.err == nil || r.Action == rules.Rebuild) {
		return true
	}
	switch r.Action {
	case rules.Sync:
		return c.what == "sync" && c.err == nil
	case rules.SyncRestart, rules.Restart:
		return c.what == "restart"
	case rules.Signal:
		return c.what == "restart" || c.what == "signal "+r.Signal
	default:
		return c.what == "exec "+strings.Join(r.Exec.Command, " ")
	}
}

// expected is what the rules of the service make of the entries: of two that give one target, the later.
func expected(entries map[string]tree.Entry, list []*rules.Rule, service string) map[string]tree.Entry {
	out := map[string]tree.Entry{}
	for _, r := range list {
		if r.Service != service || !r.Action.Syncs() {
			continue
		}
		for p, e := range entries {
			if p != r.Path && within(p, r.Path) {
				out[r.Target+strings.TrimPrefix(p, r.Path)] = e
			}
		}
	}
	all := maps.Clone(out)
	maps.DeleteFunc(out, func(p string, _ tree.Entry) bool {
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			if k := all[dir].Kind; k == tree.File || k == tree.Link {
				return true
			}
		}
		return false
	})
	for p := range maps.Clone(out) {
		if dir := path.Dir(p); dir != "/" && out[dir].Kind == tree.None {
			out[dir] = entryOf("dir")
		}
	}
	return out
}
