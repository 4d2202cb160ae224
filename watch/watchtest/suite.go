package watchtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
)

// Source is the contract of watch.Source. Each test has a source of its own, which open makes; a source that looks again and
// again should do so every few milliseconds.
func Source(t *testing.T, open func(t *testing.T) watch.Source) {
	t.Run("told", func(t *testing.T) { whatIsTold(t, open) })
	t.Run("itself", func(t *testing.T) { theDirectoryItself(t, open) })
	t.Run("refused", func(t *testing.T) { refused(t, open) })
	t.Run("two paths", func(t *testing.T) { twoPaths(t, open) })
	t.Run("removed", func(t *testing.T) { removed(t, open) })
	t.Run("replaced above", func(t *testing.T) { replacedAbove(t, open) })
	t.Run("removed through a link", func(t *testing.T) { removedThroughLink(t, open) })
	t.Run("filled at once", func(t *testing.T) { filledAtOnce(t, open) })
	t.Run("nobody reads", func(t *testing.T) { nobodyReads(t, open) })
	t.Run("random", func(t *testing.T) { Random(t, open) })
	t.Run("close", func(t *testing.T) { closing(t, open) })
	t.Run("nothing is left", func(t *testing.T) { nothingIsLeft(t, open) })
}

// bench is a source and a directory for a test.
type bench struct {
	*testing.T
	watch.Source
	dir string
}

func newBench(t *testing.T, open func(t *testing.T) watch.Source) *bench {
	t.Helper()
	b := &bench{T: t, Source: open(t), dir: t.TempDir()}
	t.Cleanup(func() { b.must(b.Close()) })
	return b
}

func (b *bench) must(errs ...error) {
	b.Helper()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}

// path is that of a name in the test's directory.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// make makes a directory for each name that ends in a slash, a symbolic link for each with an arrow, and a file for the others.
func (b *bench) make(names ...string) {
	b.Helper()
	for _, name := range names {
		path := b.path(name)
		b.must(os.MkdirAll(filepath.Dir(path), 0o755))
		if name[len(name)-1] == '/' {
			b.must(os.MkdirAll(path, 0o755))
		} else {
			b.must(os.WriteFile(path, []byte(name), 0o644))
		}
	}
}

func (b *bench) add(names ...string) {
	b.Helper()
	for _, name := range names {
		b.must(b.Add(b.path(name)))
	}
}

// sees waits until all the events have come, in any order, among others.
func (b *bench) sees(want ...watch.Event) {
	b.Helper()
	missing := map[watch.Event]bool{}
	for _, e := range want {
		e.Dir = b.path(e.Dir)
		missing[e] = true
	}
	late := time.After(patience)
	for len(missing) > 0 {
		select {
		case e := <-b.Events():
			if e.Lost {
				b.Fatal("events were lost")
			}
			delete(missing, e)
		case <-late:
			b.Fatalf("this was not told: %v", missing)
		}
	}
}

// at is an event in a directory of the test.
func at(dir, name string) watch.Event { return watch.Event{Dir: dir, Name: name} }

// change is something that happens where "d", which has "file", "link" and "sub/", is watched and "out", which has "file", is not.
type change struct {
	name string
	do   func(b *bench) error
	want []watch.Event
}

var changes = []change{
	{"a file comes", func(b *bench) error { return write(b.path("d/new"), "1") }, []watch.Event{at("d", "new")}},
	{"a file is written", func(b *bench) error { return write(b.path("d/file"), "1") }, []watch.Event{at("d", "file")}},
	{"a file is written to", func(b *bench) error { return appendTo(b.path("d/file")) }, []watch.Event{at("d", "file")}},
	{"a file is cut", func(b *bench) error { return os.Truncate(b.path("d/file"), 0) }, []watch.Event{at("d", "file")}},
	{"permissions", func(b *bench) error { return os.Chmod(b.path("d/file"), 0o755) }, []watch.Event{at("d", "file")}},
	{"permissions of a directory", func(b *bench) error { return os.Chmod(b.path("d/sub"), 0o700) }, []watch.Event{at("d", "sub")}},
	{"times", func(b *bench) error { return os.Chtimes(b.path("d/file"), time.Unix(1, 0), time.Unix(1, 0)) }, []watch.Event{at("d", "file")}},
	{"renamed within", func(b *bench) error { return os.Rename(b.path("d/file"), b.path("d/new")) }, []watch.Event{at("d", "file"), at("d", "new")}},
	{"another case", func(b *bench) error { return os.Rename(b.path("d/file"), b.path("d/FILE")) }, []watch.Event{at("d", "file"), at("d", "FILE")}},
	{"renamed into it", func(b *bench) error { return os.Rename(b.path("out/file"), b.path("d/new")) }, []watch.Event{at("d", "new")}},
	{"renamed over", func(b *bench) error { return os.Rename(b.path("out/file"), b.path("d/file")) }, []watch.Event{at("d", "file")}},
	{"renamed out of it", func(b *bench) error { return os.Rename(b.path("d/file"), b.path("out/new")) }, []watch.Event{at("d", "file")}},
	{"deleted", func(b *bench) error { return os.Remove(b.path("d/file")) }, []watch.Event{at("d", "file")}},
	{"a link comes", func(b *bench) error { return os.Symlink("x", b.path("d/new")) }, []watch.Event{at("d", "new")}},
	{"a link is turned", func(b *bench) error {
		return errors.Join(os.Symlink("x", b.path("out/link")), os.Rename(b.path("out/link"), b.path("d/link")))
	}, []watch.Event{at("d", "link")}},
	{"another name of a file", func(b *bench) error { return os.Link(b.path("out/file"), b.path("d/new")) }, []watch.Event{at("d", "new")}},
	{"a directory comes", func(b *bench) error { return os.Mkdir(b.path("d/new"), 0o755) }, []watch.Event{at("d", "new")}},
	{"a directory goes", func(b *bench) error { return os.Remove(b.path("d/sub")) }, []watch.Event{at("d", "sub")}},
	{"a file for a directory", func(b *bench) error {
		return errors.Join(os.Remove(b.path("d/sub")), write(b.path("d/sub"), "1"))
	}, []watch.Event{at("d", "sub")}},
	{"strange names", func(b *bench) error {
		return errors.Join(write(b.path("d/a\nb"), "1"), write(b.path("d/\xff"), "1"), write(b.path("d/"+long), "1"))
	}, []watch.Event{at("d", "a\nb"), at("d", "\xff"), at("d", long)}},
}

func whatIsTold(t *testing.T, open func(t *testing.T) watch.Source) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, open)
			b.make("d/file", "d/sub/", "out/file")
			b.must(os.Symlink("file", b.path("d/link")))
			b.add("d")
			b.must(c.do(b))
			b.sees(c.want...)
		})
	}
}

func refused(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("file")
	b.must(os.Symlink("loop", b.path("loop"))) // an editor's moment: nothing is there
	for _, name := range []string{"none", "none/of/that", "file", "file/below", "loop", "loop/below"} {
		if err := b.Add(b.path(name)); !errors.Is(err, fs.ErrNotExist) {
			b.Errorf("%s: %v", name, err)
		}
	}
	b.Remove(b.path("none"))
	b.make("none/")
	b.add("none")
	b.make("none/file")
	b.sees(at("none", "file"))
}
