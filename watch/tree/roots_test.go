package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/watchtest"
)

// told are the changes that something makes, until there are as many lines as are wanted.
func told(t *testing.T, tr *Tree, do func() error, want ...string) {
	t.Helper()
	must(t, do())
	var changes []Change
	for timeout := time.After(patience); ; {
		if got := lines(merge(slices.Clone(changes))); slices.Equal(got, want) {
			return
		}
		select {
		case b := <-tr.Batches():
			changes = append(changes, b.Changes...)
		case <-timeout:
			t.Fatalf("got %q, want %q", lines(merge(changes)), want)
		}
	}
}

func TestARootThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	tr := opened(t, Root{Path: dir + "/a/b/c"})
	create := func() error { write(t, dir+"/a/b/c/file", "1"); return nil }
	for range 2 {
		told(t, tr, create, "c new directory", "file new file")
		told(t, tr, func() error { write(t, dir+"/a/b/c/file", "2"); return nil }, "file other file")
		told(t, tr, func() error { return os.RemoveAll(dir + "/a") }, "c no directory", "file no file")
	}
	told(t, tr, create, "c new directory", "file new file")
	told(t, tr, func() error { return os.Rename(dir+"/a", dir+"/A") }, "c no directory", "file no file")
	told(t, tr, func() error { return os.Rename(dir+"/A", dir+"/a") }, "c new directory", "file new file")
	told(t, tr, func() error {
		write(t, dir+"/x/b/c/file", "1")
		write(t, dir+"/x/b/c/more", "1")
		return first(os.Rename(dir+"/a", dir+"/A"), os.Rename(dir+"/x", dir+"/a"))
	}, "more new file")
	told(t, tr, func() error { write(t, dir+"/a/b/c/more", "2"); return nil }, "more other file")
}

func TestARootThatIsAFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "1")
	tr := opened(t, Root{Path: dir + "/file"})
	equal(t, slices.Sorted(func(yield func(string) bool) {
		tr.Each("/", func(path string, _ Entry) bool { return yield(path) })
	}), dir+"/file")
	told(t, tr, func() error { put(t, dir+"/other", "1"); put(t, dir+"/file", "2"); return nil }, "file other file")
	told(t, tr, func() error { return os.Remove(dir + "/file") }, "file no file")
	told(t, tr, func() error { return os.Mkdir(dir+"/file", 0o755) }, "file new directory")
	told(t, tr, func() error { write(t, dir+"/file/in", "1"); return nil }, "in new file")
	told(t, tr, func() error { return first(os.RemoveAll(dir+"/file"), os.WriteFile(dir+"/file", nil, 0o644)) }, "file directory is file", "in no file")
}

func TestRootsThroughLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/releases/1/app/file", "1")
	write(t, dir+"/releases/2/app/file", "2")
	write(t, dir+"/releases/2/app/more", "2")
	must(t, os.Symlink("releases/1", dir+"/latest"))
	must(t, os.Mkdir(dir+"/srv", 0o755))
	must(t, os.Symlink("../latest", dir+"/srv/current"))
	must(t, os.Symlink(dir+"/srv/current/app/file", dir+"/config"))
	tr := opened(t, Root{Path: dir + "/srv/current/app"}, Root{Path: dir + "/config"})
	relink := func(to string) func() error {
		return func() error {
			return first(os.Symlink(to, dir+"/l"), os.Rename(dir+"/l", dir+"/latest"))
		}
	}
	told(t, tr, relink("releases/2"), "config other file", "file other file", "more new file")
	told(t, tr, func() error { write(t, dir+"/releases/2/app/more", "3"); return nil }, "more other file")
	told(t, tr, func() error {
		write(t, dir+"/releases/1/app/file", "3")
		write(t, dir+"/releases/2/app/more", "4")
		return nil
	}, "more other file")
	told(t, tr, relink("releases/3"), "config no file", "app no directory", "file no file", "more no file")
	told(t, tr, func() error { return os.Rename(dir+"/releases/2", dir+"/releases/3") },
		"config new file", "app new directory", "file new file", "more new file")
	told(t, tr, func() error { write(t, dir+"/releases/3/app/file", "5"); return nil }, "config other file", "file other file")
}

// When events were lost, what a link leads through may be another directory, too: it is added again.
func TestWhatALinkLeadsThroughIsAddedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir+"/out/old/file", "1")
		must(t, os.Symlink("old", dir+"/out/now"))
		must(t, os.Symlink("out/now", dir+"/root"))
		s := watchtest.NewScripted()
		source := &counting{Source: s, added: map[string]int{}}
		tr := openedOn(t, source, Root{Path: dir + "/root"})
		waitUntilRead(t, tr)
		before := source.times(dir + "/out")
		s.Send(watch.Event{Lost: true})
		time.Sleep(time.Second)
		if source.times(dir+"/out") == before {
			t.Error("it is not")
		}
	})
}

// A link is followed on the way to a root, and is a link below another one.
func TestALinkThatIsARootNoMore(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/there/file", "1")
	must(t, os.Symlink("there", dir+"/here"))
	inner, outer := Root{Path: dir + "/here"}, Root{Path: dir}
	tr := opened(t)
	for _, c := range []struct {
		roots []Root
		want  []string
	}{
		{[]Root{inner}, []string{dir + "/here", dir + "/here/file"}},
		{[]Root{outer}, []string{dir, dir + "/here", dir + "/there", dir + "/there/file"}},
		{[]Root{inner}, []string{dir + "/here", dir + "/here/file"}},
	} {
		must(t, tr.Watch(t.Context(), c.roots))
		var got []string
		tr.Each("/", func(path string, _ Entry) bool { got = append(got, path); return true })
		equal(t, got, c.want...)
	}
}

func TestNestedRoots(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"/file", "/skipped/file", "/skipped/in/file", "/sub/file", "/sub/x.log"} {
		write(t, dir+path, "1")
	}
	skip := func(path string, dir bool) bool {
		return dir && filepath.Base(path) == "skipped" || strings.HasSuffix(path, ".log")
	}
	tr := opened(t, Root{Path: dir, Skip: skip}, Root{Path: dir + "/skipped/in"}, Root{Path: dir + "/sub"})
	var got []string
	tr.Each(dir, func(path string, e Entry) bool {
		got = append(got, strings.TrimPrefix(path, dir))
		return true
	})
	equal(t, got, "", "/file", "/skipped/in", "/skipped/in/file", "/sub", "/sub/file", "/sub/x.log")
	told(t, tr, func() error {
		write(t, dir+"/skipped/file", "2")
		write(t, dir+"/skipped/in/file", "2")
		write(t, dir+"/y.log", "2")
		write(t, dir+"/sub/x.log", "2")
		return nil
	}, "file other file", "x.log other file")
	got = nil
	tr.Each(dir+"/sub", func(path string, e Entry) bool {
		got = append(got, strings.TrimPrefix(path, dir))
		return len(got) < 2
	})
	equal(t, got, "/sub", "/sub/file")
	told(t, tr, func() error { return os.RemoveAll(dir + "/skipped") }, "in no directory", "file no file")
}

// What is watched has one watch, and what is skipped none.
func TestOneWatchPerDirectory(t *testing.T) {
	scriptedRoots := func(dir string) []Root {
		skip := func(path string, _ bool) bool { return filepath.Base(path) == "node_modules" }
		return []Root{{Path: dir, Skip: skip}, {Path: dir, Skip: skip}, {Path: dir + "/a", Skip: skip}}
	}
	dir := t.TempDir()
	write(t, dir+"/a/b/file", "1")
	write(t, dir+"/a/node_modules/x/file", "1")
	s := &counting{added: map[string]int{}}
	s.Source = kernel(t)
	openedOn(t, s, scriptedRoots(dir)...)
	for _, path := range []string{dir, dir + "/a", dir + "/a/b"} {
		if s.added[path] != 1 {
			t.Errorf("%s was added %d times", path, s.added[path])
		}
	}
	for path := range s.added {
		if strings.Contains(path, "node_modules") {
			t.Errorf("%s is watched", path)
		}
	}
}

func TestWatchRefuses(t *testing.T) {
	if err := opened(t).Watch(t.Context(), []Root{{Path: "relative"}}); err == nil {
		t.Error("a relative path is watched")
	}
}
