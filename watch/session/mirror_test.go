package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// app copies /src to /app.
func app() *rules.Rule {
	return &rules.Rule{Service: "web", Path: "/src", Action: rules.Sync, Target: "/app", Compare: true}
}

func to(path, target string) *rules.Rule {
	return &rules.Rule{Service: "web", Path: path, Action: rules.Sync, Target: target}
}

// lines is a Work, a line for each path; after a second one's begin, a line of its own.
func lines(list ...Work) []string {
	var out []string
	for i, w := range list {
		if i > 0 {
			out = append(out, "then")
		}
		out = append(out, workLines(w)...)
	}
	return out
}

func workLines(w Work) []string {
	var out []string
	for _, p := range w.Remove {
		out = append(out, "- "+p)
	}
	for _, f := range w.Files {
		out = append(out, fmt.Sprintf("%s <- %s", f.Target, f.Source))
	}
	return out
}

// edits are lines "path: text", as source.put takes them.
func edit(s *source, edits ...string) {
	for _, e := range edits {
		file, text, _ := strings.Cut(e, ":")
		s.put(file, strings.TrimSpace(text))
	}
}

func TestWork(t *testing.T) {
	for name, c := range map[string]struct {
		rules         []*rules.Rule
		before, edits []string
		compare       extent
		want          []string
	}{
		"a file that is new": {[]*rules.Rule{app()}, []string{"/src/x: 1"}, []string{"/src/a: 1"}, nothing, []string{"/app/a <- /src/a"}},
		"a directory with files, deep": {[]*rules.Rule{app()}, []string{"/src/x: 1"}, []string{"/src/d/e/a: 1"}, nothing, []string{
			"/app/d <- /src/d", "/app/d/e <- /src/d/e", "/app/d/e/a <- /src/d/e/a",
		}},
		"an empty directory": {[]*rules.Rule{app()}, []string{"/src/x: 1"}, []string{"/src/d: dir"}, nothing, []string{"/app/d <- /src/d"}},
		"a directory is removed after what was in it": {[]*rules.Rule{app()}, []string{"/src/d/e/a: 1", "/src/d/b: 1", "/src/d-e: 1"}, []string{"/src/d:", "/src/d-e:"}, nothing, []string{
			"- /app/d/e/a", "- /app/d/e", "- /app/d/b", "- /app/d-e", "- /app/d",
		}},
		"a directory becomes a file, which takes all that is in it": {[]*rules.Rule{app()}, []string{"/src/d/a: 1"}, []string{"/src/d: 1"}, nothing, []string{"/app/d <- /src/d"}},
		"a directory becomes a link":                                {[]*rules.Rule{app()}, []string{"/src/d/a: 1"}, []string{"/src/d: -> e"}, nothing, []string{"/app/d <- /src/d"}},
		"a file becomes a directory":                                {[]*rules.Rule{app()}, []string{"/src/d: 1"}, []string{"/src/d/a: 1"}, nothing, []string{"/app/d <- /src/d", "/app/d/a <- /src/d/a"}},
		"the directory of a rule stays the container's":             {[]*rules.Rule{app()}, []string{"/src/a: 1"}, []string{"/src:"}, nothing, []string{"- /app/a"}},
		"git's files are nobody's":                                  {[]*rules.Rule{app()}, []string{"/src/a: 1"}, []string{"/src/.git/a: 1"}, nothing, nil},
		"the target is the root":                                    {[]*rules.Rule{to("/src", "/")}, []string{"/src/x: 1"}, []string{"/src/etc/a: 1", "/src/b: 1", "/src/x:"}, nothing, []string{"- /x", "/b <- /src/b", "/etc <- /src/etc", "/etc/a <- /src/etc/a"}},
		"the path of a rule is a file":                              {[]*rules.Rule{to("/src/a.conf", "/etc/a.conf")}, nil, []string{"/src/a.conf: 1", "/src/b: 1"}, nothing, []string{"/etc/a.conf <- /src/a.conf"}},
		"the path of a rule is a file that goes":                    {[]*rules.Rule{to("/src/a.conf", "/etc/a.conf")}, []string{"/src/a.conf: 1"}, []string{"/src/a.conf:"}, nothing, []string{"- /etc/a.conf"}},
		"the path of a rule was a file and is a directory": {[]*rules.Rule{to("/src/a", "/etc/a")}, []string{"/src/a: 1"}, []string{"/src/a/b: 1"}, nothing, []string{
			"/etc/a <- /src/a", "/etc/a/b <- /src/a/b",
		}},
		"a link takes the place of a rule's directory": {[]*rules.Rule{app()}, []string{"/src/a: 1"}, []string{"/src: -> other"}, nothing, []string{"- /app/a"}},
		"two rules, two targets":                       {[]*rules.Rule{app(), to("/src/lib", "/lib")}, []string{"/src/x: 1"}, []string{"/src/lib/a: 1"}, nothing, []string{"/app/lib <- /src/lib", "/app/lib/a <- /src/lib/a", "/lib/a <- /src/lib/a"}},
		"two rules, one target: the later wins":        {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/x: 1", "/more/a: 1"}, []string{"/src/a: 2", "/src/b: 2"}, nothing, []string{"/app/a <- /more/a", "/app/b <- /src/b"}},
		"what the later had goes, and what the earlier has comes": {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/a: 1", "/more/a: 1", "/more/b: 1"}, []string{"/more/a:", "/more/b:"}, nothing, []string{
			"- /app/b", "/app/a <- /src/a",
		}},
		"a file of the later goes, and a directory of the earlier comes": {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/d/a: 1", "/src/e: 1", "/more/d: 1"}, []string{"/more/d:"}, nothing, []string{
			"/app/d <- /src/d", "/app/d/a <- /src/d/a", "/app/e <- /src/e",
		}},
		"a file of the later takes a directory of the earlier": {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/d/a: 1", "/more/x: 1"}, []string{"/more/d: 1", "/src/d/b: 1"}, nothing, []string{"/app/d <- /more/d"}},

		"all is compared":                    {[]*rules.Rule{app()}, []string{"/src/d/a: 1", "/src/b: -> a", "/src/.git/c: 1"}, nil, wanted, []string{"/app/b <- /src/b", "/app/d <- /src/d", "/app/d/a <- /src/d/a"}},
		"what is wanted is compared":         {[]*rules.Rule{app(), to("/more", "/more")}, []string{"/src/a: 1", "/more/b: 1"}, nil, wanted, []string{"/app/a <- /src/a"}},
		"what is not wanted is, too":         {[]*rules.Rule{app(), to("/more", "/more")}, []string{"/src/a: 1", "/more/b: 1"}, nil, all, []string{"/app/a <- /src/a", "/more/b <- /more/b"}},
		"the later wins, but waits":          {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/a: 1", "/src/c: 1", "/more/a: 1"}, nil, wanted, []string{"/app/c <- /src/c"}},
		"the later wins, compared":           {[]*rules.Rule{app(), to("/more", "/app")}, []string{"/src/a: 1", "/src/d/b: 1", "/more/a: 1", "/more/d: 1"}, nil, all, []string{"/app/a <- /more/a", "/app/d <- /more/d"}},
		"a comparison with a change":         {[]*rules.Rule{app()}, []string{"/src/a: 1", "/src/b: 1"}, []string{"/src/a: 2", "/src/b:"}, wanted, []string{"/app/a <- /src/a", "then", "- /app/b"}},
		"what was below a link of the image": {[]*rules.Rule{app()}, []string{"/src/a/b: 1"}, []string{"/src/a/b:"}, all, []string{"/app/a <- /src/a", "then", "- /app/a/b"}},
		"a change that is not wanted":        {[]*rules.Rule{app(), to("/more", "/more")}, []string{"/src/a: 1", "/more/b: 1", "/more/c: 1"}, []string{"/more/b: 2"}, wanted, []string{"/app/a <- /src/a", "/more/b <- /more/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource()
			edit(s, c.before...)
			s.take()
			edit(s, c.edits...)
			m := &mirror{files: s}
			got := m.work(c.rules, fire(c.rules, changes(s.take().Changes)).copies, c.compare)
			if !slices.Equal(lines(got...), c.want) {
				t.Errorf("\n got %q\nwant %q", lines(got...), c.want)
			}
		})
	}
}

// TestWorkIsOfNow: a change that was taken before another one undoes nothing.
func TestWorkIsOfNow(t *testing.T) {
	s := newSource()
	list := []*rules.Rule{app()}
	edit(s, "/src/a: 1")
	first := fire(list, changes(s.take().Changes)).copies
	edit(s, "/src/a:", "/src/b: 1")
	second := fire(list, changes(s.take().Changes)).copies
	edit(s, "/src/a: 3")
	s.look()
	m := &mirror{files: s}
	for _, f := range []fired{second, first} {
		w := m.work(list, f, nothing)
		if i := slices.IndexFunc(w[0].Files, func(f File) bool { return f.Target == "/app/a" }); i < 0 || w[0].Files[i].Entry != entryOf("3") {
			t.Errorf("got %q", lines(w...))
		}
	}
}

// TestTombs: new containers lose what was deleted since the session began, unless it is there again.
func TestTombs(t *testing.T) {
	s := newSource()
	list := []*rules.Rule{app()}
	edit(s, "/src/a: 1", "/src/b: 1", "/src/d/c: 1", "/src/e: 1")
	s.take()
	m := &mirror{files: s}
	edit(s, "/src/a:", "/src/b:", "/src/d:", "/src/e:")
	m.work(list, fire(list, changes(s.take().Changes)).copies, nothing)
	edit(s, "/src/b: 2", "/src/d: -> b")
	m.work(list, fire(list, changes(s.take().Changes)).copies, nothing)
	if got := m.gone.all(); !slices.Equal(got, []string{"/app/a", "/app/d/c", "/app/e"}) {
		t.Errorf("gone: %q", got)
	}
	want := []string{"/app/b <- /src/b", "/app/d <- /src/d", "then", "- /app/a", "- /app/e"}
	for range 2 {
		if w := m.work(list, nil, all); !slices.Equal(lines(w...), want) || !w[0].Compare {
			t.Errorf("got %q, want %q", lines(w...), want)
		}
	}
	edit(s, "/src/d:")
	if w := m.work(list, fire(list, changes(s.take().Changes)).copies, all); !slices.Contains(w[len(w)-1].Remove, "/app/d/c") {
		t.Errorf("what was in a directory that was a link for a while: %q", lines(w...))
	}
	if w := m.work([]*rules.Rule{to("/src", "/other")}, nil, all); slices.ContainsFunc(w, func(w Work) bool { return len(w.Remove) > 0 }) {
		t.Errorf("what no rule is about any more: %q", lines(w...))
	}
}

// TestTombOfARule: new containers lose the file that the path of a rule was, when it is a directory now.
func TestTombOfARule(t *testing.T) {
	s := newSource()
	list := []*rules.Rule{to("/src/a", "/etc/a")}
	edit(s, "/src/a: 1")
	s.take()
	m := &mirror{files: s}
	edit(s, "/src/a/b: 1")
	m.work(list, fire(list, changes(s.take().Changes)).copies, nothing)
	if got := lines(m.work(list, nil, all)...); !slices.Equal(got, []string{"- /etc/a", "/etc/a/b <- /src/a/b"}) {
		t.Errorf("a directory: %q", got)
	}
	edit(s, "/src/a: 1")
	m.work(list, fire(list, changes(s.take().Changes)).copies, nothing)
	if got := lines(m.work(list, nil, all)...); !slices.Equal(got, []string{"/etc/a <- /src/a"}) {
		t.Errorf("a file again: %q", got)
	}
}

// TestThereAndBack: what may be a link goes before what may be below it, and goes again when it is an empty directory.
func TestThereAndBack(t *testing.T) {
	got := thereAndBack([]string{"/app/d", "/app/d-e", "/app/d/e", "/app/d/e/a", "/app/f"})
	expect(t, "order", got, "/app/d", "/app/d-e", "/app/d/e", "/app/d/e/a", "/app/f", "/app/d/e", "/app/d")
}

func TestTombsAreBounded(t *testing.T) {
	var tombs tombs
	for i := range 3 * mostTombs {
		tombs.add(fmt.Sprintf("/d/%d", i))
	}
	if n := len(tombs.all()); n > mostTombs {
		t.Errorf("%d are kept", n)
	}
	if _, ok := tombs.when[fmt.Sprintf("/d/%d", 3*mostTombs-1)]; !ok {
		t.Error("the youngest is forgotten")
	}
	for _, target := range tombs.all() {
		if !tombs.anyBelow("/d") {
			t.Fatal("there are some below the directory")
		}
		tombs.forget(target)
	}
	if tombs.anyBelow("/d") || tombs.anyBelow("/") {
		t.Error("there is none below the directory")
	}
}

func BenchmarkCompare(b *testing.B) {
	s := newSource()
	for i := range 100_000 {
		s.seen[fmt.Sprintf("/src/%d/%d", i/100, i)] = tree.Entry{Kind: tree.File}
	}
	s.seen["/src"] = tree.Entry{Kind: tree.Dir}
	m := &mirror{files: s}
	for b.Loop() {
		m.work([]*rules.Rule{app()}, nil, all)
	}
}

// between is Actions whose container is made anew from its image once something was synced.
type between struct{ *host }

func (b between) Sync(ctx context.Context, service string, work Work) (Synced, error) {
	done, err := b.host.Sync(ctx, service, work)
	if !work.After {
		b.renew(0)
	}
	return done, err
}

// A container that begins between the two halves of a comparison has the links of its image still: what they lead to stays.
func TestNewContainerBetweenHalves(t *testing.T) {
	h := &host{t: t, roots: make([]string, 1), known: map[string]bool{}, image: func(dir string) {
		thing{tree.File, 0o640, "own"}.put(t, dir, "/etc/passwd")
		thing{tree.Link, 0, "../etc"}.put(t, dir, "/app/a")
	}}
	h.renew(0)
	s := newSource()
	edit(s, "/src/a: dir")
	s.take()
	w := newWorker("web", s, between{h}, func(Report) {})
	w.mirror.gone.add("/app/a/passwd")
	if _, err := w.copy(t.Context(), copyStep{rules: []*rules.Rule{app()}, copies: fired{}, compare: all}); err != nil {
		t.Fatal(err)
	}
	if got := things(h.containers()[0])["/etc/passwd"]; got != (thing{tree.File, 0o640, "own"}) {
		t.Errorf("the container has %v as its own file", got)
	}
}
