package watchtest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"stackrun.dev/stack/watch"
)

// long is as long as a name may be.
var long = strings.Repeat("n", 255)

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

func appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("more")
	return errors.Join(err, f.Close())
}

// fate is what becomes of the watched directory "top/mid/d", which has "file", or of "link", which leads there by way of "top/mid".
// After it, if the path leads to a directory, that has "file", too.
type fate struct {
	name   string
	watch  string
	do     func(b *bench) error
	exists bool // there is a directory at the path afterwards
}

var fates = []fate{
	{"deleted", "top/mid/d", func(b *bench) error { return os.RemoveAll(b.path("top/mid/d")) }, false},
	{"deleted and held", "top/mid/d", func(b *bench) error {
		held, err := os.Open(b.path("top/mid/d"))
		b.Cleanup(func() { _ = held.Close() })
		return errors.Join(err, os.RemoveAll(b.path("top/mid/d")))
	}, false},
	{"all above deleted", "top/mid/d", func(b *bench) error { return os.RemoveAll(b.path("top")) }, false},
	{"renamed", "top/mid/d", func(b *bench) error { return os.Rename(b.path("top/mid/d"), b.path("top/mid/e")) }, false},
	{"moved elsewhere", "top/mid/d", func(b *bench) error { return os.Rename(b.path("top/mid/d"), b.path("e")) }, false},
	{"one above renamed", "top/mid/d", func(b *bench) error { return os.Rename(b.path("top"), b.path("bottom")) }, false},
	{"made anew at once", "top/mid/d", func(b *bench) error {
		err := os.RemoveAll(b.path("top/mid/d"))
		b.make("top/mid/d/file")
		return err
	}, true},
	{"made anew and held", "top/mid/d", func(b *bench) error {
		held, err := os.Open(b.path("top/mid/d"))
		b.Cleanup(func() { _ = held.Close() })
		err = errors.Join(err, os.RemoveAll(b.path("top/mid/d")))
		b.make("top/mid/d/file")
		return err
	}, true},
	{"replaced by another", "top/mid/d", func(b *bench) error {
		b.make("e/file")
		return errors.Join(os.Rename(b.path("top/mid/d"), b.path("old")), os.Rename(b.path("e"), b.path("top/mid/d")))
	}, true},
	{"one above replaced", "top/mid/d", func(b *bench) error {
		b.make("e/mid/d/file")
		return errors.Join(os.Rename(b.path("top"), b.path("old")), os.Rename(b.path("e"), b.path("top")))
	}, true},
	{"permissions", "top/mid/d", func(b *bench) error { return os.Chmod(b.path("top/mid/d"), 0o700) }, true},
	{"a file for it", "top/mid/d", func(b *bench) error {
		return errors.Join(os.RemoveAll(b.path("top/mid/d")), write(b.path("top/mid/d"), "1"))
	}, false},
	{"the link is turned", "link", func(b *bench) error {
		b.make("e/file")
		return errors.Join(os.Symlink("e", b.path("new")), os.Rename(b.path("new"), b.path("link")))
	}, true},
	{"the link goes", "link", func(b *bench) error { return os.Remove(b.path("link")) }, false},
	{"a link on the way is turned", "way/d", func(b *bench) error {
		b.make("e/d/file")
		return errors.Join(os.Symlink("e", b.path("new")), os.Rename(b.path("new"), b.path("way")))
	}, true},
}

// theDirectoryItself: it is told when the path leads elsewhere, and whoever adds it again then goes on with what is there.
func theDirectoryItself(t *testing.T, open func(t *testing.T) watch.Source) {
	for _, c := range fates {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, open)
			b.make("top/mid/d/file")
			b.must(os.Symlink("top/mid/d", b.path("link")), os.Symlink("top/mid", b.path("way")))
			b.add(c.watch)
			b.must(c.do(b))
			b.sees(at(c.watch, ""))
			if !c.exists {
				if b.Add(b.path(c.watch)) == nil {
					b.Fatal("what is not there is watched")
				}
				b.must(os.RemoveAll(b.path(c.watch)))
				b.make(c.watch + "/file")
			}
			b.add(c.watch)
			b.must(appendTo(b.path(c.watch + "/file")))
			b.sees(at(c.watch, "file"))
		})
	}
}

// twoPaths: what happens is told under each of them, until it is removed.
func twoPaths(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("d/file", "other/")
	b.must(os.Symlink("d", b.path("link")))
	b.add("d", "link", "d", "other")
	b.must(appendTo(b.path("d/file")))
	b.sees(at("d", "file"), at("link", "file"))
	b.Remove(b.path("d"))
	b.make("d/new")
	b.sees(at("link", "new"))

	// The directory has another name from now on, and is added under it before it is told that the one before is gone.
	b.add("d")
	b.must(os.Rename(b.path("d"), b.path("e")))
	b.add("e")
	b.sees(at("d", ""), at("link", ""))
	b.make("e/last")
	b.sees(at("e", "last"))
}

// replacedAbove: who adds a directory again before he hears that it is another one still hears of those below it.
func replacedAbove(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("top/d/file", "e/d/file")
	b.add("top", "top/d")
	b.must(os.Rename(b.path("top"), b.path("old")), os.Rename(b.path("e"), b.path("top")))
	b.add("top")
	b.sees(at("top/d", ""))
	b.add("top/d")
	b.must(appendTo(b.path("top/d/file")))
	b.sees(at("top/d", "file"))
}

// removedThroughLink: a directory is not affected by the removal of one whose path leads to it by now.
func removedThroughLink(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("d/file", "x/c/")
	b.add("d", "x", "x/c")
	b.must(os.Rename(b.path("x"), b.path("y")), os.Symlink("d", b.path("x")))
	b.Remove(b.path("x"))
	b.must(os.Chmod(b.path("d/file"), 0o600))
	b.sees(at("d", "file"))
}

// removed: nothing is told of a directory that does not count any more, and what is above others or below them is watched on.
func removed(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("d/sub/", "other/")
	b.add("d", "d/sub", "other")
	b.Remove(b.path("d"))
	b.make("d/unseen", "d/sub/seen")
	b.sees(at("d/sub", "seen"))
	b.make("d/unseen2", "other/first")
	b.silent("d", at("other", "first"))
	b.add("d")
	b.Remove(b.path("d/sub"))
	b.make("d/sub/unseen", "d/new")
	b.sees(at("d", "new"))
	b.make("other/second")
	b.silent("d/sub", at("other", "second"))
	b.make("other/third")
	b.silent("d/sub", at("other", "third"))
}

// silent waits for the event and fails if one of the directory comes before.
func (b *bench) silent(dir string, until watch.Event) {
	b.Helper()
	until.Dir = b.path(until.Dir)
	for e := range b.Events() {
		if e.Dir == b.path(dir) {
			b.Errorf("%v was told", e)
		}
		if e == until {
			return
		}
	}
}
