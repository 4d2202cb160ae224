package watch

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a source whose events the test makes.
type scripted struct {
	dirs   []string
	events chan struct{}
}

func (s *scripted) Watch(dirs []string) error { s.dirs = dirs; return nil }
func (s *scripted) Events() <-chan struct{}   { return s.events }
func (s *scripted) Close() error              { return nil }

// watching runs the test with a watcher of the files in a new directory, in virtual time.
func watching(t *testing.T, test func(t *testing.T, w *Watcher, s *scripted, dir string), names ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := &scripted{events: make(chan struct{})}
		w := New(s)
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
func told(w *Watcher, within time.Duration) bool {
	select {
	case <-w.Changed():
		return true
	case <-time.After(within):
		return false
	}
}

func TestOnlyContentCounts(t *testing.T) {
	watching(t, func(t *testing.T, w *Watcher, s *scripted, dir string) {
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
			s.events <- struct{}{}
			if got := told(w, quietTime+time.Millisecond); got != c.want {
				t.Errorf("%s: told %v, want %v", c.name, got, c.want)
			}
		}
	}, "a", "sub/c")
}

// Whoever saves many files is heard once; whoever does not stop is heard all the same.
func TestBatches(t *testing.T) {
	watching(t, func(t *testing.T, w *Watcher, s *scripted, dir string) {
		began := time.Now()
		write(t, dir+"/a", "1")
		go func() {
			for time.Since(began) < 2*time.Second {
				s.events <- struct{}{}
				time.Sleep(quietTime / 2)
			}
		}()
		if !told(w, time.Hour) {
			t.Fatal("nothing was told")
		}
		if took := time.Since(began); took < quietTime || took > batchTime {
			t.Errorf("told after %v", took)
		}
		if told(w, 3*time.Second) {
			t.Error("it was told twice")
		}
	}, "a")
}

func TestNothingIsMissedBetweenReadingAndWatching(t *testing.T) {
	dir := t.TempDir()
	w := New(&scripted{events: make(chan struct{})})
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
	w := New(&scripted{events: make(chan struct{})})
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

func TestWhereLinksLead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/there/a", "1")
	if err := os.Mkdir(dir+"/here", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/there/a", dir+"/here/a"); err != nil {
		t.Fatal(err)
	}
	s := &scripted{events: make(chan struct{})}
	w := New(s)
	defer func() { _ = w.Close() }()
	_ = w.Files([]string{dir + "/here/a"}, time.Now().Add(time.Hour))
	if len(s.dirs) != 2 || s.dirs[0] != dir+"/here" || s.dirs[1] != dir+"/there" {
		t.Errorf("directories %v", s.dirs)
	}
}
