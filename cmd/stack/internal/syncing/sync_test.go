package syncing

import (
	"archive/tar"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

func TestSync(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.create("shop-web-2", "web") // does not run yet
	w.begin("db", "shop-db-1")
	w.create("shop-web-run", "web", func(c *engine.CreateConfig) { c.Config.Labels[desired.LabelOneOff] = "True" })
	w.create("other-web-1", "web", func(c *engine.CreateConfig) { c.Config.Labels[desired.LabelProject] = "other" })
	w.write("bin/run", "#!/bin/sh\n", 0o755)
	w.write("secret", "1234", 0o600)
	w.at("secret", time.Unix(1_700_000_000, 123_456_789))
	w.must(os.Mkdir(filepath.Join(w.dir, "tmp"), 0o755))
	w.must(os.Symlink("../secret", filepath.Join(w.dir, "bin/link")))

	files := w.files("bin", "bin/link", "bin/run", "secret", "tmp")
	got := w.sync(session.Work{Files: append(files, session.File{Source: "/gone", Target: "/app/gone"})})
	if got.Written != (session.Count{Files: 3, Folders: 2}) || got.Containers != 2 || got.Bytes != 28 || got.Removed.Any() || got.Unsettled != nil {
		t.Errorf("synced %+v", got)
	}
	for _, name := range []string{"shop-web-1", "shop-web-2"} {
		w.has(name, map[string]string{"bin": "directory 755", "bin/link": "link to ../secret", "bin/run": "#!/bin/sh\n", "secret": "1234", "tmp": "directory 755"})
		for path, mode := range map[string]os.FileMode{"/app/bin/run": 0o755, "/app/secret": 0o600} {
			stat, err := w.StatPath(t.Context(), name, path)
			if err != nil || stat.Mode != mode {
				t.Errorf("%s has %v, %v, want %v", path, stat.Mode, err, mode)
			}
			if want := time.Unix(1_700_000_000, 123_456_789); path == "/app/secret" && !stat.Mtime.Equal(want) {
				t.Errorf("%s was written at %v, want %v", path, stat.Mtime, want)
			}
		}
	}
	for _, name := range []string{"shop-db-1", "shop-web-run", "other-web-1"} {
		w.has(name, map[string]string{"secret": "nothing"})
	}

	got = w.sync(session.Work{Remove: []string{"/app/bin/run", "/app/bin", "/app/bin/run"}, Folders: 1})
	if got.Written.Any() || got.Removed != (session.Count{Files: 1, Folders: 1}) || got.Containers != 2 {
		t.Errorf("removed %+v", got)
	}
	w.has("shop-web-2", map[string]string{"bin": "directory 755", "bin/link": "link to ../secret", "bin/run": "nothing"})
}

func TestNothingThere(t *testing.T) {
	w := newWorld(t, Options{})
	w.write("a", "a", 0o644)
	if got := w.sync(session.Work{Files: w.files("a")}); got.Containers != 0 || got.Written.Any() {
		t.Errorf("synced %+v", got)
	}
}

// TestOnce: whoever runs costs no list, and what several containers need is read once.
func TestOnce(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1", "shop-web-2", "shop-web-3")
	w.write("a", "a", 0o644)
	for range 3 {
		if got := w.sync(session.Work{Files: w.files("a")}); got.Containers != 3 || got.Written.Files != 1 {
			t.Errorf("synced %+v", got)
		}
	}
	if opened := w.took(&w.opened); opened != "/a /a /a" || w.lists != 1 {
		t.Errorf("opened %s, listed %d times", opened, w.lists)
	}
}

func TestCompare(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1", "shop-web-2")
	long := time.Now().Add(-time.Hour)
	for _, name := range []string{"same", "touched", "other", "sub/x"} {
		w.write(name, name, 0o644)
		w.at(name, long)
	}
	names := []string{"other", "same", "sub", "sub/x", "touched"}
	w.sync(session.Work{Files: w.files(names...)})
	w.took(&w.opened)
	w.took(&w.synced)

	var files []session.File
	for _, name := range names {
		files = append(files, w.unread(name))
	}
	got := w.sync(session.Work{Files: files, Compare: true})
	if opened, synced := w.took(&w.opened), w.took(&w.synced); got.Written.Any() || got.Containers != 2 || opened+synced != "" {
		t.Errorf("all is there: %+v, opened %s, written to %s", got, opened, synced)
	}

	w.at("touched", long.Add(time.Minute))
	w.write("other", "OTHER", 0o644)
	w.write("new", "new", 0o644)
	w.must(w.Engine.SyncFiles(t.Context(), "shop-web-2", tarOf(t, "/app/same", "ruined"), engine.SyncOptions{}))
	files = nil
	for _, name := range append([]string{"new"}, names...) {
		files = append(files, w.unread(name))
	}
	got = w.sync(session.Work{Files: files, Compare: true})
	if got.Written.Files != 3 || got.Containers != 2 || got.Bytes != 5+3+5+4+3 {
		t.Errorf("three files differ: %+v", got)
	}
	if want := []string{files[0].Source, files[1].Source, files[2].Source}; !slices.Equal(got.Changed, want) {
		t.Errorf("these have changed: %q, want %q", got.Changed, want)
	}
	for _, name := range []string{"shop-web-1", "shop-web-2"} {
		w.has(name, map[string]string{"same": "same", "touched": "touched", "other": "OTHER", "new": "new"})
	}
	if opened := w.took(&w.opened); strings.Count(opened, "/touched") != 1 {
		t.Errorf("what was touched only is read once, to know it, and not to send it: %s", opened)
	}
}

// TestCompareRecent: what has changed since watching began is compared by what is in it.
func TestCompareRecent(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.write("a", "old", 0o644)
	now := time.Now()
	w.at("a", now)
	w.sync(session.Work{Files: w.files("a")})
	w.write("a", "new", 0o644)
	w.at("a", now) // in the same second
	if got := w.sync(session.Work{Files: w.files("a"), Compare: true}); got.Written.Files != 1 {
		t.Errorf("synced %+v", got)
	}
	w.has("shop-web-1", map[string]string{"a": "new"})
	w.at("a", now.Add(time.Minute))
	w.took(&w.synced)
	if got := w.sync(session.Work{Files: w.files("a"), Compare: true}); got.Written.Any() || w.took(&w.synced) != "" {
		t.Errorf("only the time is another one: synced %+v", got)
	}
}

// TestCompareRemoves: what is asked to be removed is, even if nothing else differs, and is not counted.
func TestCompareRemoves(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.write("a", "a", 0o644)
	w.write("b", "b", 0o644)
	w.sync(session.Work{Files: w.files("a", "b")})
	got := w.sync(session.Work{Files: w.files("a"), Remove: []string{"/app/b", "/app/nonesuch"}, Compare: true})
	if got.Written.Any() || got.Removed.Any() || got.Containers != 1 {
		t.Errorf("synced %+v", got)
	}
	w.has("shop-web-1", map[string]string{"a": "a", "b": "nothing"})
}

// TestGone: a container that goes away in the middle has no errors, and the others get everything.
func TestGone(t *testing.T) {
	for name, goes := range map[string]func(w *world){
		"removed": func(w *world) { w.remove("shop-web-2") },
		"stopped": func(w *world) {
			w.stop("shop-web-2")
			w.Fail("SyncFiles", "shop-web-2", engine.Errorf(engine.ErrConflict, "it has ended"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1", "shop-web-2", "shop-web-3")
			w.write("a", "a", 0o644)
			two, err := w.ContainerInspect(t.Context(), "shop-web-2")
			w.must(err)
			w.before = func(ref string) {
				if ref == two.ID {
					goes(w)
				}
			}
			if got := w.sync(session.Work{Files: w.files("a")}); got.Containers != 2 || got.Written.Files != 1 {
				t.Errorf("synced %+v", got)
			}
			w.has("shop-web-1", map[string]string{"a": "a"})
			w.has("shop-web-3", map[string]string{"a": "a"})
		})
	}
}

// TestEndedAndBack: a container that has ended and runs again by the time of a look gets it at the second attempt.
func TestEndedAndBack(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.write("a", "a", 0o644)
	tries := 0
	w.before = func(string) {
		if tries++; tries == 1 {
			w.restart("shop-web-1")
			gone := w.Fail("SyncFiles", "", engine.Errorf(engine.ErrConflict, "it has ended"))
			w.before = func(string) { gone() }
		}
	}
	if got := w.sync(session.Work{Files: w.files("a")}); got.Written.Files != 1 {
		t.Errorf("synced %+v", got)
	}
	w.has("shop-web-1", map[string]string{"a": "a"})
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		op    string
		err   error
		read  bool // the root file system is read-only
		wants []string
	}{
		{"read-only root", "SyncFiles", engine.Errorf(engine.ErrForbidden, "cannot write /app/a: read-only file system"), true,
			[]string{"container shop-web-2 of service web", "/app/a", "its root file system is read-only", "mount a volume"}},
		{"read-only mount", "SyncFiles", engine.Errorf(engine.ErrForbidden, "cannot write /app/a: read-only file system"), false,
			[]string{"container shop-web-2 of service web", "/app/a", "sync to another target"}},
		{"comparison", "CompareFiles", engine.Errorf(engine.ErrInternal, "cannot read /app: input/output error"), false,
			[]string{"container shop-web-2 of service web", "cannot read /app"}},
		{"always a conflict", "SyncFiles", engine.Errorf(engine.ErrConflict, "it is paused"), false,
			[]string{"container shop-web-2 of service web", "it is paused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1")
			w.create("shop-web-2", "web", func(c *engine.CreateConfig) { c.Host.ReadonlyRootfs = test.read })
			w.start("shop-web-2")
			w.write("a", "a", 0o644)
			w.Fail(test.op, "shop-web-2", test.err)
			got, err := w.services.Sync(t.Context(), "web", session.Work{Files: w.files("a"), Compare: true})
			if got.Containers != 1 || got.Written.Files != 1 || !errors.Is(err, test.err) {
				t.Fatalf("synced %+v, %v", got, err)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			w.has("shop-web-1", map[string]string{"a": "a"})
		})
	}
}

func TestEngineAway(t *testing.T) {
	w := newWorld(t, Options{})
	w.write("a", "a", 0o644)
	back := w.Fail("ContainerList", "", engine.Errorf(engine.ErrUnavailable, "nobody answers"))
	if _, err := w.services.Sync(t.Context(), "web", session.Work{Files: w.files("a")}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	back()
	w.begin("web", "shop-web-1")
	if got := w.sync(session.Work{Files: w.files("a")}); got.Written.Files != 1 {
		t.Errorf("synced %+v", got)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.write("a", "a", 0o644)
	ctx, cancel := context.WithCancelCause(t.Context())
	newer := errors.New("a newer change")
	w.before = func(string) { cancel(newer) }
	if _, err := w.services.Sync(ctx, "web", session.Work{Files: w.files("a")}); !errors.Is(err, newer) {
		t.Errorf("error %v", err)
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[fs.FileMode]int64{
		0o640: 0o640, 0o755 | fs.ModeSetuid: 0o4755, 0o755 | fs.ModeSetgid: 0o2755, 0o777 | fs.ModeSticky: 0o1777,
	} {
		f := session.File{Target: "/t", Entry: tree.Entry{Kind: tree.Dir, Mode: mode}}
		if h := header(&f, tar.TypeDir); h.Mode != want {
			t.Errorf("%v becomes %o, want %o", mode, h.Mode, want)
		}
		if got := modeOf(&f.Entry); got != mode|fs.ModeDir {
			t.Errorf("%v is compared as %v", mode, got)
		}
	}
}

// What is left for a second half is for the containers that had the first.
func TestSecondHalf(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1", "shop-web-2")
	w.write("a", "1", 0o600)
	w.write("b", "2", 0o600)
	w.sync(session.Work{Files: w.files("a", "b"), Compare: true})
	w.remove("shop-web-2")
	w.begin("web", "shop-web-2")
	w.must(w.services.members.look(t.Context()))
	if got := w.sync(session.Work{Remove: []string{"/app/a"}, After: true}); got.Containers != 1 {
		t.Errorf("synced %+v", got)
	}
	w.has("shop-web-1", map[string]string{"a": "nothing", "b": "2"})
}
