package syncing

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
)

func tarOf(t *testing.T, name, content string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return &out
}

// meddled is a file with which something is done each time that it has been read.
type meddled struct {
	file
	meddle func()
}

func (m *meddled) ReadAt(b []byte, at int64) (int, error) {
	n, err := m.file.ReadAt(b, at)
	m.meddle()
	return n, err
}

// meddle does something to the named file whenever it has been read.
func (w *world) meddle(name string, do func()) {
	w.services.open = func(path string) (file, error) {
		f, err := openFile(path)
		if err == nil && path == filepath.Join(w.dir, name) {
			return &meddled{f, do}, nil
		}
		return f, err
	}
}

// TestLeftOut: what is not as the tree has seen it is not written, is told, and keeps nothing else from being written.
func TestLeftOut(t *testing.T) {
	long := strings.Repeat("x", heldFile+1)
	for _, test := range []struct {
		name  string
		was   string
		makes func(w *world, path string)
		meets string // what is in the container afterwards
	}{
		{"gone", "old", func(w *world, path string) { w.must(os.Remove(path)) }, "before"},
		{"its directory is gone", "old", func(w *world, path string) { w.must(os.RemoveAll(filepath.Dir(path))) }, "before"},
		{"its directory is a file", "old", func(w *world, path string) {
			w.must(os.RemoveAll(filepath.Dir(path)))
			w.must(os.WriteFile(filepath.Dir(path), nil, 0o644))
		}, "before"},
		{"a directory", "old", func(w *world, path string) { w.must(os.Remove(path)); w.must(os.Mkdir(path, 0o755)) }, "before"},
		{"a link", "old", func(w *world, path string) {
			w.must(os.Rename(path, path+"2"))
			w.must(os.Symlink(path+"2", path))
		}, "before"},
		{"a pipe", "old", func(w *world, path string) { w.must(os.Remove(path)); w.must(syscall.Mkfifo(path, 0o644)) }, "before"},
		{"another content", "old", func(w *world, path string) { w.must(os.WriteFile(path, []byte("new"), 0o644)) }, "before"},
		{"longer", "old", func(w *world, path string) { w.must(os.WriteFile(path, []byte("older"), 0o644)) }, "before"},
		{"long by now", "old", func(w *world, path string) { w.must(os.WriteFile(path, []byte(long), 0o644)) }, "before"},
		{"long, and shorter by now", long, func(w *world, path string) { w.must(os.Truncate(path, heldFile)) }, "before"},
		{"long, and longer by now", long, func(w *world, path string) { w.must(os.WriteFile(path, []byte(long+"y"), 0o644)) }, "before"},
		{"the same content, written again", "old", func(w *world, path string) { w.must(os.WriteFile(path, []byte("old"), 0o644)) }, "old"},
		{"other permissions by now", "old", func(w *world, path string) { w.must(os.Chmod(path, 0o600)) }, "old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1")
			w.must(w.Engine.SyncFiles(t.Context(), "shop-web-1", tarOf(t, "/app/d/f", "before"), engine.SyncOptions{}))
			w.write("d/f", test.was, 0o644)
			w.write("else", "else", 0o644)
			files := w.files("d/f", "else")
			path := files[0].Source
			test.makes(w, path)
			got := w.sync(session.Work{Files: files})
			if left := test.meets == "before"; left != slices.Equal(got.Unsettled, []string{path}) || left != (got.Written.Files == 1) {
				t.Errorf("synced %+v", got)
			}
			w.has("shop-web-1", map[string]string{"d/f": test.meets, "else": "else"})
			if stat, err := w.StatPath(t.Context(), "shop-web-1", "/app/d/f"); err != nil || stat.Mode != 0o644 {
				t.Errorf("the permissions are %v, %v", stat.Mode, err)
			}
		})
	}
}

// TestWhileRead: a file that changes while it is read.
func TestWhileRead(t *testing.T) {
	const last = readings - 1
	for _, test := range []struct {
		name   string
		unread bool // the tree knows no digest
		writes int  // how many of the readings are disturbed
		meets  string
	}{
		{"once, and back to what it was", false, 1, "old"},
		{"always", false, 100, "before"},
		{"always, and nobody knows the content", true, 100, "before"},
		{"once, and nobody knows the content", true, 1, "before"}, // it is another file than the tree has seen
		{"not at all, and nobody knows the content", true, 0, "old"},
		{"all but the last time", false, last, "old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1")
			w.must(w.Engine.SyncFiles(t.Context(), "shop-web-1", tarOf(t, "/app/f", "before"), engine.SyncOptions{}))
			w.write("f", "old", 0o644)
			f := w.file("f")
			if test.unread {
				f = w.unread("f")
			}
			if test.writes > 0 {
				w.write("f", "odd", 0o644) // what the first reading finds
			}
			n := 0
			w.meddle("f", func() {
				switch n++; {
				case n < test.writes:
					w.write("f", "odd"+strings.Repeat("d", n), 0o644)
				case n == test.writes:
					w.write("f", "old ", 0o644)
					w.write("f", "old", 0o644)
				}
			})
			got := w.sync(session.Work{Files: []session.File{f}})
			if left := test.meets == "before"; left != slices.Equal(got.Unsettled, []string{f.Source}) || left != !got.Written.Any() {
				t.Errorf("synced %+v after %d readings", got, n)
			}
			w.has("shop-web-1", map[string]string{"f": test.meets})
		})
	}
}

// TestStreamed: a file that is too long to be held is sent as long as was said whatever happens to it, and is told.
func TestStreamed(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", heldArchive/16+1)
	for _, test := range []struct {
		name   string
		meddle func(w *world, path string)
		good   bool
	}{
		{"left alone", func(*world, string) {}, true},
		{"shorter", func(w *world, path string) { w.must(os.Truncate(path, 5)) }, false},
		{"longer", func(w *world, path string) { w.must(os.WriteFile(path, []byte(long+"more"), 0o644)) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1", "shop-web-2")
			w.write("long", long, 0o644)
			w.write("next", "next", 0o644)
			files := w.files("long", "next")
			var once sync.Once
			w.meddle("long", func() { once.Do(func() { test.meddle(w, files[0].Source) }) })
			got := w.sync(session.Work{Files: files})
			if test.good != (got.Unsettled == nil) || got.Containers != 2 || test.good != (got.Written.Files == 2) || got.Bytes < 8 {
				t.Errorf("synced %+v", got)
			}
			for _, name := range []string{"shop-web-1", "shop-web-2"} {
				w.has(name, map[string]string{"next": "next"})
				if test.good {
					w.has(name, map[string]string{"long": long})
				}
			}
		})
	}
}

// TestRestless: what never is as the tree has seen it is written as it is after some attempts, and goes on being told.
func TestRestless(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.write("log", "1", 0o644)
	seen := w.file("log")
	w.write("log", "12", 0o644)
	for attempt := range enough + 2 {
		got := w.sync(session.Work{Files: []session.File{seen}})
		want := "nothing"
		if attempt >= enough {
			want = "12"
		}
		if !slices.Equal(got.Unsettled, []string{seen.Source}) {
			t.Errorf("attempt %d: synced %+v", attempt, got)
		}
		w.has("shop-web-1", map[string]string{"log": want})
	}
	w.sync(session.Work{Files: w.files("log")}) // it has come to rest
	w.write("log", "123", 0o644)
	w.sync(session.Work{Files: []session.File{seen}})
	w.has("shop-web-1", map[string]string{"log": "12"})
}

// TestUnreadable: a file that cannot be read is told by its name, once, and the rest is written.
func TestUnreadable(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1", "shop-web-2")
	w.write("a", "a", 0o644)
	w.write("b", "b", 0o644)
	files := w.files("a", "b")
	denied := func(name string) (file, error) {
		if filepath.Base(name) == "a" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return openFile(name)
	}
	message := "cannot read " + files[0].Source + ": permission denied"
	for _, step := range []struct {
		open    func(string) (file, error)
		written int
		told    string
	}{{denied, 1, message}, {denied, 1, ""}, {openFile, 2, ""}, {denied, 1, message}} {
		w.services.open = step.open
		got := w.sync(session.Work{Files: files})
		if told := w.took(&w.told); told != step.told || got.Written.Files != step.written || got.Unsettled != nil {
			t.Errorf("synced %+v, told %q, want %d files and %q", got, told, step.written, step.told)
		}
		w.has("shop-web-1", map[string]string{"b": "b"})
	}
}
