package session

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
	"stackrun.dev/stack/watch/watchtest"
)

// composition is the project of the random editor: patterns, one file, two rules for one target.
const composition = `
services:
  web:
    image: base
    develop:
      watch:
        - {path: ./app, action: sync, target: /app, ignore: [tmp/, "**/*.log"]}
        - {path: ./lib, action: sync+restart, target: /lib, include: ["**/*.py"]}
        - {path: ./one, action: sync, target: /etc/one.conf}
        - {path: ./over, action: sync, target: /app, ignore: [tmp/, "**/*.log"]}
        - {path: ./app, action: restart, include: [a]}
`

// own is what containers have that no rule is about. It is there whatever happens.
var own = []string{"/app/tmp/cache", "/app/own.log", "/app/of the container/x", "/lib/y.so", "/etc/passwd", "/srv/z"}

func ruleset(t *testing.T, dir, text string) []*rules.Rule {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600))
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x", Env: map[string]string{}})
	must(t, err)
	list, _, err := rules.Of(p, rules.Options{Develop: true})
	must(t, err)
	return list
}

// TestSameRules: what is read again from the same file says the same, and what differs does not.
func TestSameRules(t *testing.T) {
	dir := t.TempDir()
	one, two := ruleset(t, dir, composition), ruleset(t, dir, "\n\n"+composition)
	if !slices.EqualFunc(one, two, same) {
		t.Error("the same rules, two lines below, are others")
	}
	three := ruleset(t, dir, strings.Replace(composition, "tmp/, ", "", 1))
	if same(one[0], three[0]) || !same(one[1], three[1]) {
		t.Error("a rule with other patterns is the same, or one beside it is not")
	}
}

// TestRandomEditor: whatever is done to the files while they are copied, at rest each container has what the rules say, and all
// that is its own.
func TestRandomEditor(t *testing.T) {
	n := seed(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("STACK_WATCH_SEED=%d", n)
		}
	})
	for i, lossy := range []bool{false, true} {
		t.Run(fmt.Sprintf("lossy=%v", lossy), func(t *testing.T) { newStudio(t, n+uint64(i), lossy).work(t) })
	}
}

// studio is where the random editor works.
type studio struct {
	*rand.Rand
	dir     string
	root    *os.Root // of dir: no link leads out of it
	rules   []*rules.Rule
	host    *host
	session *Session
	log     []string
}

func newStudio(t *testing.T, n uint64, lossy bool) *studio {
	s := &studio{Rand: rand.New(rand.NewPCG(n, 0)), dir: project.RealPath(t.TempDir())}
	root, err := os.OpenRoot(s.dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	s.root = root
	for _, d := range []string{"app", "lib", "over"} {
		must(t, os.Mkdir(filepath.Join(s.dir, d), 0o755))
	}
	for range 40 {
		s.step()
	}
	s.rules = ruleset(t, s.dir, composition)
	image := s.expected()
	s.host = &host{t: t, random: rand.New(rand.NewPCG(n, 1)), fails: true, roots: make([]string, 2), known: map[string]bool{}, image: func(dir string) {
		for _, name := range slices.Sorted(maps.Keys(image)) {
			image[name].put(t, dir, name)
		}
		for _, name := range own {
			thing{tree.File, 0o640, "own"}.put(t, dir, name)
		}
	}}
	for i := range s.host.roots {
		s.host.renew(i)
	}
	var source watch.Source
	source, err = fsnotify.New()
	must(t, err)
	if lossy {
		source = watchtest.NewLossy(source, n, 200)
	}
	files := tree.Open(source, tree.Options{Told: func(err error) { t.Errorf("the tree tells: %v", err) }})
	compared, once := make(chan struct{}), sync.Once{} // what goes before is in the containers, and nobody knows where from
	s.session = New(files, s.host, Options{Report: func(Report) { once.Do(func() { close(compared) }) }})
	s.session.Update(s.rules)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.session.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended, files.Close())
	})
	<-compared
	return s
}

// work edits in rounds, and looks after each when it is quiet.
func (s *studio) work(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		s.log = nil
		s.host.let(true)
		for range 100 + s.IntN(100) {
			s.move(t)
		}
		s.host.let(false)
		s.rest(t, round)
		if t.Failed() {
			t.Logf("round %d, after:\n%s", round, strings.Join(s.log, "\n"))
			return
		}
	}
}

func (s *studio) move(t *testing.T) {
	switch s.IntN(40) {
	case 0:
		i := s.IntN(len(s.host.roots))
		s.log = append(s.log, fmt.Sprintf("renew %d", i))
		s.host.renew(i)
		s.session.Renewed("web")
	case 1:
		s.session.Update(ruleset(t, s.dir, composition))
	case 2, 3:
		time.Sleep(time.Duration(s.IntN(15)) * time.Millisecond)
	default:
		s.step()
	}
}

// name is one of few, so that they meet. It is relative to dir.
func (s *studio) name() string {
	top := []string{"app", "app", "app", "lib", "over", "one"}[s.IntN(6)]
	if top == "one" {
		return top
	}
	file := top
	for range 1 + s.IntN(3) {
		file = filepath.Join(file, []string{"a", "b", "c", "d.py", "e.log", "tmp", "f", ".g.swp"}[s.IntN(8)])
	}
	return file
}

// step does one thing to files, and to none that a link leads to outside. What is impossible is left.
func (s *studio) step() {
	file := s.name()
	single := filepath.Dir(file) == "." // it is the path of a rule, which is no link
	n := s.IntN(24)
	s.log = append(s.log, fmt.Sprintf("%d %s", n, file))
	switch {
	case n < 6:
		_ = s.root.WriteFile(file, []byte(fmt.Sprint(s.IntN(50))), 0o644)
	case n < 8: // as editors do
		_ = s.root.WriteFile(file+"~", []byte(fmt.Sprint(s.IntN(50))), 0o644)
		if err := s.root.Rename(file+"~", file); err != nil {
			_ = s.root.RemoveAll(file + "~")
		}
	case n < 10:
		_ = s.root.MkdirAll(file, 0o755)
	case n < 12:
		_ = s.root.RemoveAll(file)
	case n < 14 && !single:
		if to := s.name(); filepath.Dir(to) != "." {
			_ = s.root.Rename(file, to)
		}
	case n < 15:
		_ = s.root.Chmod(file, 0o600|os.FileMode(s.IntN(0o200)))
	case n < 17 && !single:
		_ = s.root.Symlink([]string{"a", "../b", "/etc", "tmp"}[s.IntN(4)], file)
	case n < 18 && !single:
		s.swap(file, s.name())
	case n < 19: // there and back
		if text, err := s.root.ReadFile(file); err == nil {
			_ = s.root.WriteFile(file, []byte("for a moment"), 0o644)
			_ = s.root.WriteFile(file, text, 0o644)
		}
	case n < 20: // a folder that is made and filled at once
		for i := range 5 {
			_ = s.root.MkdirAll(fmt.Sprintf("%s/%c", file, 'a'+i), 0o755)
			_ = s.root.WriteFile(fmt.Sprintf("%s/%c/f", file, 'a'+i), []byte("new"), 0o644)
		}
	case n == 23 && s.IntN(10) == 0: // a folder that is a rule's goes and comes
		top := []string{"app", "lib", "over"}[s.IntN(3)]
		_ = s.root.Rename(top, top+" away")
		time.Sleep(time.Duration(s.IntN(20)) * time.Millisecond)
		_ = s.root.Rename(top+" away", top)
	}
}

// swap exchanges two.
func (s *studio) swap(a, b string) {
	if filepath.Dir(b) == "." || within(a, b) || within(b, a) {
		return
	}
	aside := "aside"
	if s.root.Rename(a, aside) != nil {
		return
	}
	if s.root.Rename(b, a) != nil || s.root.Rename(aside, b) != nil {
		_ = s.root.Rename(aside, a)
		_ = s.root.RemoveAll(aside)
	}
}

func (h *host) let(fail bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = fail
}

// rest has what failed tried again, and waits until the containers are right.
func (s *studio) rest(t *testing.T, round int) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(s.dir, "app"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.dir, "app", fmt.Sprintf("last %d", round)), nil, 0o644))
	want := s.expected()
	var wrong []string
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if wrong = s.wrong(want); len(wrong) == 0 {
			return
		}
	}
	t.Errorf("%s", strings.Join(wrong, "\n"))
}

// wrong is what is not right in the containers.
func (s *studio) wrong(want map[string]thing) []string {
	var out []string
	for i, root := range s.host.containers() {
		got := things(root)
		for name, x := range want {
			if got[name] != x {
				out = append(out, fmt.Sprintf("container %d has %v at %s, want %v", i, got[name], name, x))
			}
		}
		for _, name := range own {
			if got[name] != (thing{tree.File, 0o640, "own"}) {
				out = append(out, fmt.Sprintf("container %d has %v at %s, its own", i, got[name], name))
			}
		}
		for name, x := range got {
			if _, ok := want[name]; !ok && !allowed(name, x) {
				out = append(out, fmt.Sprintf("container %d has %v at %s, want nothing", i, x, name))
			}
		}
	}
	return out
}

// allowed says of what is not wanted whether it may be there: what is the containers', and directories in which something was that
// a pattern includes.
func allowed(name string, x thing) bool {
	return x.kind == tree.Dir && (within(name, "/lib") || name == "/app" || name == "/etc/one.conf") ||
		slices.ContainsFunc(own, func(p string) bool { return within(p, name) })
}

// expected is what the rules make of what is on the disk.
func (s *studio) expected() map[string]thing {
	all := map[string]thing{}
	for _, r := range s.rules {
		if !r.Action.Syncs() {
			continue
		}
		below := map[string]thing{}
		if x, ok := thingAt(r.Path); ok {
			below = things(r.Path)
			below[""] = x
		}
		for name, x := range below {
			if rel, ok := r.Matches(r.Path+name, x.kind == tree.Dir); ok {
				all[path.Join(r.Target, rel)] = x
			}
		}
	}
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(p string, _ thing) bool {
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			if k := all[dir].kind; k == tree.File || k == tree.Link {
				return true
			}
		}
		return false
	})
	return out
}
