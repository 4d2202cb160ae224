package watch_test

import (
	"errors"
	"io/fs"
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

// watching runs the test with a watcher of the files in a new directory, in virtual time.
func watching(t *testing.T, test func(t *testing.T, w *watch.Watcher, s *watchtest.Scripted, dir string), names ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := watchtest.NewScripted()
		w := watch.New(s)
		defer func() { _ = w.Close() }()
		var paths []string
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name))
		}
		if err := w.Files(paths, time.Now().Add(100*365*24*time.Hour)); err != nil { // the files' times are not virtual
			t.Fatal(err)
		}
		test(t, w, s, dir)
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// told says whether a change is told within the time.
func told(w *watch.Watcher, within time.Duration) bool {
	select {
	case <-w.Changed():
		return true
	case <-time.After(within):
		return false
	}
}

func TestOnlyContentCounts(t *testing.T) {
	watching(t, func(t *testing.T, w *watch.Watcher, s *watchtest.Scripted, dir string) {
		for _, c := range []struct {
			name string
			do   func()
			want bool
		}{
			{"it comes", func() { write(t, dir+"/a", "1") }, true},
			{"the same again", func() { write(t, dir+"/a", "1") }, false},
			{"another of the same length", func() { write(t, dir+"/a", "2") }, true},
			{"one that nobody asked for", func() { write(t, dir+"/b", "1") }, false},
			{"one in a directory that was not there", func() { write(t, dir+"/sub/c", "1") }, true},
			{"the directory goes", func() { _ = os.RemoveAll(dir + "/sub") }, true},
			{"and nothing happens", func() {}, false},
		} {
			c.do()
			s.Send(watch.Event{Dir: dir, Name: "a"})
			if got := told(w, watch.QuietTime+time.Millisecond); got != c.want {
				t.Errorf("%s: told %v, want %v", c.name, got, c.want)
			}
		}
	}, "a", "sub/c")
}

func TestWhichFilesHaveChanged(t *testing.T) {
	watching(t, func(t *testing.T, w *watch.Watcher, s *watchtest.Scripted, dir string) {
		began := time.Now()
		for _, name := range []string{"b", "a"} {
			write(t, dir+"/"+name, "1")
			s.Send(watch.Event{Dir: dir, Name: name})
			if !told(w, time.Second) {
				t.Fatal("nothing was told")
			}
		}
		paths, since := w.Which()
		if !slices.Equal(paths, []string{dir + "/a", dir + "/b"}) || since.Before(began) || time.Since(since) < watch.QuietTime {
			t.Errorf("changed are %q since %v", paths, since)
		}
		if paths, since = w.Which(); len(paths) > 0 || !since.IsZero() {
			t.Errorf("again: %q since %v", paths, since)
		}
	}, "a", "b", "c")
}

// Whoever saves many files is heard once; whoever does not stop is heard all the same.
func TestBatches(t *testing.T) {
	watching(t, func(t *testing.T, w *watch.Watcher, s *watchtest.Scripted, dir string) {
		began := time.Now()
		write(t, dir+"/a", "1")
		go func() {
			for time.Since(began) < 2*time.Second {
				s.Send(watch.Event{Dir: dir, Name: "a"})
				time.Sleep(watch.QuietTime / 2)
			}
		}()
		if !told(w, time.Hour) {
			t.Fatal("nothing was told")
		}
		if took := time.Since(began); took < watch.QuietTime || took > watch.BatchTime {
			t.Errorf("told after %v", took)
		}
		if told(w, 3*time.Second) {
			t.Error("it was told twice")
		}
	}, "a")
}

func TestNothingIsMissedBetweenReadingAndWatching(t *testing.T) {
	dir := t.TempDir()
	w := watch.New(watchtest.NewScripted())
	defer func() { _ = w.Close() }()
	before := time.Now()
	write(t, dir+"/a", "1")
	_ = w.Files([]string{dir + "/a"}, before)
	if len(w.Changed()) != 1 {
		t.Error("a file that was written after it was read does not count as changed")
	}
	<-w.Changed()
	_ = w.Files([]string{dir + "/a"}, time.Now().Add(time.Hour))
	if len(w.Changed()) != 0 {
		t.Error("a file that was written before it was read counts as changed")
	}
}

// A clock that is ahead elsewhere makes files of tomorrow. Whoever reads them again when told would never come to an end.
func TestAFileOfTomorrowIsToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	w := watch.New(watchtest.NewScripted())
	defer func() { _ = w.Close() }()
	tomorrow := time.Now().Add(24 * time.Hour)
	for _, c := range []struct {
		text string
		want int
	}{{"1", 1}, {"1", 0}, {"2", 1}, {"2", 0}} {
		write(t, path, c.text)
		if err := os.Chtimes(path, tomorrow, tomorrow); err != nil {
			t.Fatal(err)
		}
		_ = w.Files([]string{path}, time.Now())
		if got := len(w.Changed()); got != c.want {
			t.Fatalf("with the content %s: told %d times, want %d", c.text, got, c.want)
		}
		if c.want > 0 {
			<-w.Changed()
		}
	}
}

// Each directory in which something can happen that makes a path lead to another file is watched, and no other.
func TestWhereLinksLead(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a/real/file", "b/c/file"} {
		write(t, filepath.Join(base, name), "1")
	}
	for name, to := range map[string]string{
		"a/file": "real/file", "a/dir": "real", "one": "a/two", "a/two": base + "/b", "b/up": "../a/./real", "loop": "loop",
		"nowhere": "b/none/none", "a/real/back": "..",
	} {
		if err := os.Symlink(to, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ path, want string }{
		{"b/c/file", "/b/c"},
		{"a/file", "/a /a/real"},
		{"a/dir/file", "/a /a/real"},
		{"one/c/file", " /a /b/c"},
		{"one/up/file", " /a /a/real /b"},
		{"one/up/back/real/back/file", " /a /a/real /b"},
		{"a/dir/missing/file", "/a /a/real"},
		{"nowhere/file", " /b"},
		{"loop/file", ""},
		{"b/c/file/below", "/b/c"},
		{"b", ""},
	} {
		s := watchtest.NewScripted()
		w := watch.New(s)
		if err := w.Files([]string{filepath.Join(base, c.path)}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, dir := range s.Watched() {
			got = append(got, strings.TrimPrefix(dir, base))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: directories %q, want %q", c.path, got, c.want)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A directory that goes while it is being watched has the next one above it watched, and what was begun in vain is ended.
func TestADirectoryThatGoesMeanwhile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/sub/a", "1")
	write(t, dir+"/b", "1")
	s := watchtest.NewScripted()
	s.Refuse = func(path string) error {
		if path != dir+"/sub" {
			return nil
		}
		return errors.Join(os.RemoveAll(path), fs.ErrNotExist)
	}
	w := watch.New(s)
	defer func() { _ = w.Close() }()
	if err := w.Files([]string{dir + "/sub/a"}, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if got, want := s.Calls(), []string{"add " + dir + "/sub", "add " + dir, "remove " + dir + "/sub"}; !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}
