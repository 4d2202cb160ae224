package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// The rules of the tables: each about a directory of its own.
func copyRule() *rules.Rule {
	return &rules.Rule{Service: "web", Path: "/copy", Action: rules.Sync, Target: "/app", Compare: true}
}
func freshRule() *rules.Rule {
	return &rules.Rule{Service: "web", Path: "/fresh", Action: rules.SyncRestart, Target: "/fresh"}
}
func makeRule() *rules.Rule {
	return &rules.Rule{Service: "web", Path: "/make", Action: rules.SyncExec, Target: "/make", Exec: types.ServiceHook{Command: []string{"make"}}}
}
func plainRule(path string, a rules.Action) *rules.Rule {
	return &rules.Rule{Service: "web", Path: path, Action: a}
}
func signalRule(path, signal string) *rules.Rule {
	return &rules.Rule{Service: "web", Path: path, Action: rules.Signal, Signal: signal}
}
func execRule(path, command string) *rules.Rule {
	return &rules.Rule{Service: "web", Path: path, Action: rules.Exec, Exec: types.ServiceHook{Command: []string{command}}}
}

// compared are rules that copy, with Compare.
func compared() []*rules.Rule {
	list := every()[:3]
	for _, r := range list {
		r.Compare = true
	}
	return list
}

// every has one rule for each action.
func every() []*rules.Rule {
	return []*rules.Rule{
		copyRule(), freshRule(), makeRule(), plainRule("/again", rules.Restart), signalRule("/hup", "SIGHUP"),
		execRule("/run", "true"), plainRule("/build", rules.Rebuild),
	}
}

// files is the event of a change of files; a name that ends in a slash is a directory.
func files(second int, paths ...string) event {
	all := causes{}
	for _, p := range paths {
		if dir, ok := strings.CutSuffix(p, "/"); ok {
			all[dir] = asDir
		} else {
			all[p] = asFile
		}
	}
	return changed{all, at(second)}
}

// ok and failed are the ends of steps.
func ok(second int) event   { return finished{at: at(second)} }
func fail(second int) event { return finished{err: errors.New("no"), at: at(second)} }
func wrote(second, n int) event {
	return finished{synced: Synced{Written: Count{Files: n}, Containers: 1}, at: at(second)}
}
func differed(second int, sources ...string) event {
	return finished{synced: Synced{Written: Count{Files: len(sources)}, Containers: 1, Changed: sources}, at: at(second)}
}

// begun is the end of a comparison that has found sources to differ in a container that is new.
func begun(second int, container string, sources ...string) event {
	return finished{at: at(second), synced: Synced{
		Written: Count{Files: len(sources)}, Containers: 1, Changed: sources, New: []Fresh{{container, sources}},
	}}
}
func unsettled(second int, sources ...string) event {
	return finished{synced: Synced{Written: Count{Files: 1}, Containers: 1, Unsettled: sources}, at: at(second)}
}

// text is an action in one line.
func text(a action) string {
	switch a := a.(type) {
	case start:
		switch s := a.step.(type) {
		case copyStep:
			what := []string{"copy"}
			if s.compare != nothing {
				what = append(what, []string{"", "wanted", "all", "wanted+all"}[s.compare])
			}
			return strings.Join(append(what, s.copies.paths()...), " ")
		case restartStep:
			return strings.Join(append([]string{"restart"}, s.only...), " ")
		case signalStep:
			return "signal " + s.signal
		case execStep:
			return strings.Join(slices.Concat([]string{"exec"}, s.hook.Command, s.only), " ")
		case rebuildStep:
			return "rebuild"
		}
	case cancel:
		return "cancel"
	case wake:
		return "wake " + a.after.String()
	case tell:
		r := a.report
		out := fmt.Sprintf("tell %s", r.Action)
		if r.Synced.Written.Any() {
			out += fmt.Sprintf(" wrote %d", r.Synced.Written.Files)
		}
		if r.New > 0 {
			out += fmt.Sprintf(" in %d new", r.New)
		}
		out += fmt.Sprintf(" %v since %d", r.Paths, int(a.since.Sub(epoch).Seconds()))
		if r.Err != nil {
			out += ": " + r.Err.Error()
		}
		return out
	}
	return fmt.Sprintf("%T", a)
}

// move is an event and the actions that are to come of it.
type move struct {
	event event
	want  []string
}

func TestNext(t *testing.T) {
	const retried = "no; it is tried again with the next change"
	for name, c := range map[string]struct {
		rules []*rules.Rule
		moves []move
	}{
		"a file is copied": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{wrote(2, 1), []string{"tell sync wrote 1 [/copy/a] since 1"}},
		}},
		"what no rule is about is nothing": {every(), []move{{files(1, "/other/a"), nil}}},
		"changes while something runs are done together": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{files(2, "/copy/a"), nil},
			{files(3, "/copy/b"), nil},
			{wrote(4, 1), []string{"tell sync wrote 1 [/copy/a] since 1", "copy /copy/a /copy/b"}},
			{wrote(5, 2), []string{"tell sync wrote 2 [/copy/a /copy/b] since 2"}},
		}},
		"copying comes first, one restart follows and is told with it": {every(), []move{
			{files(1, "/fresh/a", "/again/b", "/hup/c", "/copy/d"), []string{"copy /copy/d /fresh/a"}},
			{wrote(2, 2), []string{"restart"}},
			{ok(3), []string{"tell sync+restart wrote 2 [/again/b /copy/d /fresh/a /hup/c] since 1"}},
		}},
		"a restart by itself is told apart from a copying": {every(), []move{
			{files(1, "/again/b", "/copy/d"), []string{"copy /copy/d"}},
			{wrote(2, 2), []string{"tell sync wrote 2 [/copy/d] since 1", "restart"}},
			{ok(3), []string{"tell restart [/again/b] since 1"}},
		}},
		"copying goes on before the restart": {every(), []move{
			{files(1, "/fresh/a"), []string{"copy /fresh/a"}},
			{files(2, "/fresh/b"), nil},
			{wrote(3, 1), []string{"copy /fresh/b"}},
			{wrote(4, 1), []string{"restart"}},
			{ok(5), []string{"tell sync+restart wrote 2 [/fresh/a /fresh/b] since 1"}},
		}},
		"commands follow the restart, in the order of their rules": {every(), []move{
			{files(1, "/run/a", "/make/b", "/again/c"), []string{"copy /make/b"}},
			{wrote(2, 1), []string{"tell sync wrote 1 [/make/b] since 1", "restart"}},
			{ok(3), []string{"tell restart [/again/c] since 1", "exec make"}},
			{fail(4), []string{"tell sync+exec [/make/b] since 1: no", "exec true"}},
			{ok(5), []string{"tell exec [/run/a] since 1"}},
		}},
		"a signal is sent once": {
			[]*rules.Rule{signalRule("/a", "SIGHUP"), signalRule("/b", "SIGUSR1"), signalRule("/", "SIGHUP")},
			[]move{
				{files(1, "/a/x", "/b/y"), []string{"signal SIGHUP"}},
				{ok(2), []string{"tell signal [/a/x /b/y] since 1", "signal SIGUSR1"}},
				{ok(2), []string{"tell signal [/b/y] since 1"}},
			},
		},
		"directories are copied and no reason for more": {every(), []move{
			{files(1, "/again/d/", "/build/d/", "/run/d/"), nil},
			{files(1, "/fresh/d/"), []string{"copy /fresh/d"}},
			{wrote(2, 1), []string{"tell sync wrote 1 [/fresh/d] since 1"}},
		}},
		"what failed to be copied is tried again with the next change": {every(), []move{
			{files(1, "/fresh/a", "/again/b"), []string{"copy /fresh/a"}},
			{fail(2), []string{"tell sync [/fresh/a] since 1: " + retried, "restart"}},
			{ok(3), []string{"tell restart [/again/b] since 1"}},
			{files(4, "/other/x"), nil},
			{files(5, "/again/b"), []string{"copy /fresh/a"}},
			{wrote(6, 1), []string{"restart"}},
			{ok(7), []string{"tell sync+restart wrote 1 [/again/b /fresh/a] since 5"}},
		}},
		"what failed to be copied is tried again with a change that has come meanwhile": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{files(2, "/copy/b"), nil},
			{fail(3), []string{"tell sync [/copy/a] since 1: " + retried, "copy /copy/a /copy/b"}},
			{fail(4), []string{"tell sync [/copy/a /copy/b] since 2: " + retried}},
		}},
		"what was copied before gets its restart": {every(), []move{
			{files(1, "/fresh/a"), []string{"copy /fresh/a"}},
			{files(2, "/fresh/b"), nil},
			{wrote(3, 1), []string{"copy /fresh/b"}},
			{fail(4), []string{"tell sync [/fresh/b] since 1: " + retried, "restart"}},
			{ok(5), []string{"tell sync+restart wrote 1 [/fresh/a] since 1"}},
		}},
		"what failed to be copied is tried again on new containers": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{fail(2), []string{"tell sync [/copy/a] since 1: " + retried}},
			{renewed{at(3)}, []string{"copy all /copy/a"}},
			{fail(4), []string{"tell sync [/copy/a] since 3: " + retried}},
			{files(5, "/copy/b"), []string{"copy all /copy/a /copy/b"}},
			{wrote(6, 2), []string{"tell sync wrote 2 [/copy/a /copy/b] since 5"}},
		}},
		"a restart that fails is not tried again": {every(), []move{
			{files(1, "/again/a"), []string{"restart"}},
			{fail(2), []string{"tell restart [/again/a] since 1: no"}},
			{files(3, "/copy/a"), []string{"copy /copy/a"}},
			{wrote(4, 1), []string{"tell sync wrote 1 [/copy/a] since 3"}},
		}},
		"a rebuild does without the rest, and is followed by a comparison": {every(), []move{
			{files(1, "/build/a", "/fresh/b", "/again/c", "/hup/d", "/make/e"), []string{"rebuild"}},
			{ok(9), []string{"tell rebuild [/build/a] since 1", "copy all /fresh/b /make/e"}},
			{ok(10), []string{"tell sync [] since 9"}},
		}},
		"new containers of a rebuild are compared once": {every(), []move{
			{files(1, "/build/a"), []string{"rebuild"}},
			{renewed{at(2)}, nil},
			{ok(3), []string{"tell rebuild [/build/a] since 1", "copy all"}},
			{ok(4), []string{"tell sync [] since 2"}},
		}},
		"a rebuild that fails leaves the rest to be done": {every(), []move{
			{files(1, "/build/a", "/fresh/b", "/hup/d"), []string{"rebuild"}},
			{fail(2), []string{"tell rebuild [/build/a] since 1: no", "copy /fresh/b"}},
			{wrote(3, 1), []string{"restart"}},
			{ok(4), []string{"tell sync+restart wrote 1 [/fresh/b /hup/d] since 1"}},
			{files(5, "/copy/x"), []string{"copy /copy/x"}},
		}},
		"a newer change of what is built begins the rebuild anew": {every(), []move{
			{files(1, "/build/a", "/copy/x"), []string{"rebuild"}},
			{files(2, "/copy/y"), nil},
			{files(3, "/build/b"), []string{"cancel"}},
			{files(4, "/build/c"), nil},
			{fail(5), []string{"rebuild"}},
			{ok(6), []string{"tell rebuild [/build/a /build/b /build/c] since 1", "copy all /copy/x /copy/y"}},
			{ok(7), []string{"tell sync [] since 6"}},
		}},
		"a rebuild that was done before it could be cancelled": {every(), []move{
			{files(1, "/build/a"), []string{"rebuild"}},
			{files(2, "/build/b"), []string{"cancel"}},
			{ok(3), []string{"tell rebuild [/build/a] since 1", "rebuild"}},
			{ok(4), []string{"tell rebuild [/build/b] since 2", "copy all"}},
		}},
		"changes during a rebuild are done after it": {every(), []move{
			{files(1, "/build/a"), []string{"rebuild"}},
			{files(2, "/again/c", "/copy/x"), nil},
			{ok(3), []string{"tell rebuild [/build/a] since 1", "copy all /copy/x"}},
			{wrote(4, 1), []string{"tell sync wrote 1 [/copy/x] since 2", "restart"}},
			{ok(5), []string{"tell restart [/again/c] since 2"}},
		}},
		"a rebuild comes before a restart that waits, and what was copied is told": {every(), []move{
			{files(1, "/fresh/a"), []string{"copy /fresh/a"}},
			{files(2, "/build/b"), nil},
			{wrote(3, 1), []string{"tell sync wrote 1 [/fresh/a] since 1", "rebuild"}},
			{ok(4), []string{"tell rebuild [/build/b] since 1", "copy all"}},
		}},
		"a new container does what the rules ask for by what differed there, once": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{begun(2, "web-2", "/copy/a", "/fresh/b", "/make/c"), []string{"restart web-2"}},
			{ok(3), []string{"tell sync+restart wrote 3 in 1 new [/fresh/b] since 1", "exec make web-2"}},
			{ok(4), []string{"tell sync+exec in 1 new [/make/c] since 1"}},
			{renewed{at(5)}, []string{"copy all"}}, // a start empties what is in memory
			{differed(6, "/fresh/b"), []string{"tell sync wrote 1 [] since 5"}},
		}},
		"a new container of which nothing differed is left alone": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{begun(2, "web-2"), []string{"tell sync [] since 1"}},
		}},
		"a new container in which only files differed that ask for nothing more": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{begun(2, "web-2", "/copy/a"), []string{"tell sync wrote 1 in 1 new [] since 1"}},
		}},
		"new containers of a rebuild have not seen what was not built": {every(), []move{
			{files(1, "/build/a"), []string{"rebuild"}},
			{ok(2), []string{"tell rebuild [/build/a] since 1", "copy all"}},
			{begun(3, "web-1", "/fresh/b"), []string{"restart web-1"}},
			{ok(4), []string{"tell sync+restart wrote 1 in 1 new [/fresh/b] since 2"}},
		}},
		"what is done in all containers is not done again in new ones": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{files(2, "/fresh/c", "/make/c"), nil},
			{begun(3, "web-2", "/fresh/b", "/make/b"), []string{"copy /fresh/c /make/c"}},
			{wrote(4, 2), []string{"restart"}},
			{ok(5), []string{"tell sync+restart wrote 4 [/fresh/b /fresh/c /make/c] since 1", "exec make"}},
			{ok(6), []string{"tell sync+exec [/make/b /make/c] since 1"}},
		}},
		"a new container is served although another one fails": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{finished{synced: Synced{Containers: 1, Written: Count{Files: 1}, New: []Fresh{{"web-2", []string{"/fresh/b"}}}}, err: errors.New("no"), at: at(2)},
				[]string{"tell sync wrote 1 in 1 new [] since 1: " + retried, "restart web-2"}},
			{ok(3), []string{"tell restart in 1 new [/fresh/b] since 1"}},
		}},
		"what new containers are to do goes with the rule that asks for it": {every(), []move{
			{files(1, "/hup/a"), []string{"signal SIGHUP"}},
			{renewed{at(2)}, nil},
			{ok(3), []string{"tell signal [/hup/a] since 1", "copy all"}},
			{begun(4, "web-2", "/fresh/b", "/make/c"), []string{"restart web-2"}},
			{updated{every()[2:]}, nil},
			{ok(5), []string{"tell sync+restart wrote 2 in 1 new [] since 2", "exec make web-2"}},
			{updated{every()[3:]}, nil},
			{fail(6), []string{"tell sync+exec in 1 new [] since 2: no"}},
		}},
		"what changes in new containers while it is copied is done in all": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{finished{at: at(2), synced: Synced{Containers: 1, Unsettled: []string{"/fresh/a"}, New: []Fresh{{"web-2", nil}}}}, []string{"wake 20ms", "tell sync [] since 1"}},
			{woken{at(3)}, []string{"copy /fresh/a"}},
			{wrote(4, 1), []string{"restart"}},
			{ok(5), []string{"tell sync+restart wrote 1 [/fresh/a] since 1"}},
		}},
		"without rules that copy nothing is compared": {[]*rules.Rule{plainRule("/build", rules.Rebuild)}, []move{
			{renewed{at(1)}, nil},
			{files(1, "/build/a"), []string{"rebuild"}},
			{ok(2), []string{"tell rebuild [/build/a] since 1"}},
		}},
		"files that were not found as they had been seen": {every(), []move{
			{files(1, "/fresh/a", "/fresh/b"), []string{"copy /fresh/a /fresh/b"}},
			{unsettled(2, "/fresh/a"), []string{"wake 20ms", "restart"}},
			{ok(3), []string{"tell sync+restart wrote 1 [/fresh/a /fresh/b] since 1"}},
			{woken{at(4)}, []string{"copy /fresh/a"}},
			{unsettled(5, "/fresh/a"), []string{"wake 40ms", "tell sync wrote 1 [/fresh/a] since 1"}},
			{woken{at(6)}, []string{"copy /fresh/a"}},
			{wrote(7, 1), []string{"restart"}},
			{ok(8), []string{"tell sync+restart wrote 1 [/fresh/a] since 1"}},
			{woken{at(9)}, nil},
		}},
		"files of a comparison that were not found as they had been seen": {every(), []move{
			{renewed{at(1)}, []string{"copy all"}},
			{unsettled(2, "/fresh/a", "/copy/b"), []string{"wake 20ms", "tell sync wrote 1 [] since 1"}},
			{woken{at(3)}, []string{"copy /copy/b /fresh/a"}},
			{wrote(4, 2), []string{"tell sync wrote 2 [/copy/b /fresh/a] since 1"}},
		}},
		"a service that is not watched any more ends what it does": {every(), []move{
			{files(1, "/copy/a", "/again/b"), []string{"copy /copy/a"}},
			{updated{}, []string{"cancel"}},
			{files(2, "/copy/b"), nil},
			{fail(3), nil},
			{renewed{at(4)}, nil},
		}},
		"a service that comes back waits for what it did before": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{updated{}, []string{"cancel"}},
			{updated{every()}, nil},
			{seen{at(3)}, nil},
			{ok(4), []string{"copy wanted"}},
		}},
		"a rebuild that no rule asks for any more is ended": {every(), []move{
			{files(1, "/build/a", "/copy/b"), []string{"rebuild"}},
			{updated{every()[:2]}, []string{"cancel"}},
			{fail(2), nil},
			{seen{at(3)}, []string{"copy /copy/b"}},
			{wrote(4, 1), []string{"tell sync wrote 1 [/copy/b] since 1"}},
		}},
		"a rebuild goes on when other rules change": {every(), []move{
			{files(1, "/build/a"), []string{"rebuild"}},
			{updated{every()[6:]}, nil},
			{seen{at(2)}, nil},
			{ok(3), []string{"tell rebuild [/build/a] since 1"}},
		}},
		"the same rules elsewhere in the file are the same": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{updated{moved(every())}, nil},
			{wrote(2, 1), []string{"tell sync wrote 1 [/copy/a] since 1"}},
			{seen{at(3)}, nil},
		}},
		"new rules are compared when the tree knows what they name": {every()[1:], []move{
			{updated{every()}, nil},
			{files(1, "/copy/a", "/again/b"), nil},
			{seen{at(2)}, []string{"copy wanted /copy/a"}},
			{ok(3), []string{"tell sync [] since 1", "restart"}},
		}},
		"what watching finds to be another one is followed by what its rule asks for": {every()[6:], []move{
			{updated{compared()}, nil},
			{seen{at(1)}, []string{"copy wanted"}},
			{differed(2, "/copy/a", "/fresh/b", "/make/c"), []string{"restart"}},
			{ok(3), []string{"tell sync+restart wrote 3 [/fresh/b] since 1", "exec make"}},
			{ok(4), []string{"tell sync+exec [/make/c] since 1"}},
			{renewed{at(5)}, []string{"copy all"}},
			{differed(6, "/fresh/b"), []string{"tell sync wrote 1 [] since 5"}},
		}},
		"that is so if new containers come, too, and not all could be copied at first": {every()[6:], []move{
			{updated{compared()}, nil},
			{renewed{at(1)}, nil},
			{seen{at(2)}, []string{"copy wanted+all"}},
			{finished{synced: Synced{Changed: []string{"/fresh/b"}}, err: errors.New("no"), at: at(3)}, []string{"tell sync [] since 1: " + retried}},
			{files(4, "/copy/a"), []string{"copy wanted+all /copy/a"}},
			{unsettled(5, "/make/c"), []string{"wake 20ms", "restart"}},
			{ok(6), []string{"tell sync+restart wrote 1 [/copy/a /fresh/b] since 4"}},
			{woken{at(7)}, []string{"copy /make/c"}},
			{wrote(8, 1), []string{"tell sync wrote 1 [/make/c] since 4", "exec make"}},
		}},
		"but not if the rule is not compared": {every()[6:], []move{
			{updated{every()[:2]}, nil},
			{seen{at(1)}, []string{"copy wanted"}},
			{differed(2, "/copy/a", "/fresh/b"), []string{"tell sync wrote 2 [] since 1"}},
		}},
		"what waits is what the new rules say": {every(), []move{
			{files(1, "/copy/a"), []string{"copy /copy/a"}},
			{files(2, "/run/a", "/hup/b", "/again/c"), nil},
			{updated{[]*rules.Rule{execRule("/run", "other"), freshRule(), copyRule()}}, nil},
			{wrote(3, 1), []string{"tell sync wrote 1 [/copy/a] since 1", "exec other"}},
			{ok(4), []string{"tell exec [/run/a] since 2"}},
		}},
	} {
		t.Run(name, func(t *testing.T) { play(t, c.rules, c.moves) })
	}
}

// moved are the rules further down in their file.
func moved(list []*rules.Rule) []*rules.Rule {
	for _, r := range list {
		r.Place.Line += 7
	}
	return list
}

// play begins with the rules compared, makes the moves, and says where the actions are others.
func play(t *testing.T, list []*rules.Rule, moves []move) {
	t.Helper()
	s := state{rules: list}
	for i, m := range moves {
		var actions []action
		s, actions = next(s, m.event)
		var got []string
		for _, a := range actions {
			got = append(got, text(a))
		}
		if !slices.Equal(got, m.want) {
			t.Fatalf("move %d, %T:\n got %q\nwant %q", i+1, m.event, got, m.want)
		}
	}
}

func TestUnsettledEnds(t *testing.T) {
	s := state{rules: every()}
	s, _ = next(s, files(0, "/copy/a"))
	for range settleTries {
		s, _ = next(s, unsettled(1, "/copy/a"))
		s, _ = next(s, woken{at(2)})
	}
	s, last := next(s, unsettled(3, "/copy/a"))
	if len(last) != 1 || !errors.Is(last[0].(tell).report.Err, errUnsettled) {
		t.Errorf("after %d times: %v", settleTries, last)
	}
	if _, again := next(s, files(4, "/copy/b")); text(again[0]) != "copy /copy/a /copy/b" {
		t.Errorf("with the next change: %s", text(again[0]))
	}
}

func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		want    as
	}{
		"a file comes":                        {"", "1", asFile},
		"a file goes":                         {"1", "", asFile},
		"a link for a file":                   {"1", "-> a", asFile},
		"a directory comes":                   {"", "dir", asDir},
		"a directory for a file":              {"1", "dir", asFile | asDir},
		"what came and went again":            {"", "", asFile | asDir},
		"a directory that was something else": {"dir", "dir", asFile | asDir},
	} {
		t.Run(name, func(t *testing.T) {
			got := changes([]tree.Change{{Path: "/a", Was: entryOf(c.was), Is: entryOf(c.is)}})
			if got["/a"] != c.want {
				t.Errorf("got %v, want %v", got["/a"], c.want)
			}
		})
	}
}
