package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// synced is a file as the cases write it. The mode's type says what text is: the content, or where a link leads.
type synced struct {
	name string
	mode fs.FileMode // 0: a regular file for everybody to read
	text string
	uid  int
}

// syncTime is the time of all files.
var syncTime = time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC)

func regular(name, text string) synced { return synced{name: name, text: text, mode: 0o644} }
func folder(name string) synced        { return synced{name: name, mode: fs.ModeDir | 0o755} }
func link(name, to string) synced {
	return synced{name: name, mode: fs.ModeSymlink | 0o777, text: to}
}

func (s synced) header() *tar.Header {
	h := &tar.Header{Name: s.name, Mode: int64(s.mode.Perm()), ModTime: syncTime, Uid: s.uid, Gid: s.uid, Format: tar.FormatPAX}
	if s.mode&fs.ModeSetuid != 0 {
		h.Mode |= 0o4000
	}
	switch {
	case s.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, s.name+"/"
	case s.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, s.text
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(s.text))
	}
	return h
}

func (s synced) state() engine.FileState {
	f := engine.FileState{Path: s.name, Mode: s.mode}
	switch {
	case s.mode&fs.ModeSymlink != 0:
		f.Link = s.text
	case s.mode.IsRegular():
		sum := sha256.Sum256([]byte(s.text))
		f.Size, f.ModTime, f.Digest = int64(len(s.text)), syncTime, sum[:16]
	}
	return f
}

func states(files []synced) []engine.FileState {
	var all []engine.FileState
	for _, s := range files {
		all = append(all, s.state())
	}
	return all
}

func (f *fixture) syncTar(files []synced) io.Reader {
	f.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, s := range files {
		h := s.header()
		writeTar(f, w, h, []byte(s.text)[:h.Size])
	}
	f.must(w.Close())
	return &out
}

func (f *fixture) trySync(id string, remove []string, files ...synced) error {
	f.Helper()
	return f.SyncFiles(f.ctx, id, f.syncTar(files), engine.SyncOptions{Remove: remove})
}

// sync syncs and checks that the container then has the files as they were described.
func (f *fixture) sync(id string, remove []string, files ...synced) {
	f.Helper()
	f.must(f.trySync(id, remove, files...))
	f.wantDiffer("right after the sync", id, files)
}

// wantDiffer checks which files differ, by their indexes.
func (f *fixture) wantDiffer(what, id string, files []synced, want ...int) {
	f.Helper()
	got, err := f.CompareFiles(f.ctx, id, states(files))
	f.must(err)
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		f.Errorf("%s: %v differ, want %v", what, got, want)
	}
}

// headers are what a container has at a path, by name.
func (f *fixture) headers(id, at string) map[string]*tar.Header {
	f.Helper()
	content, _, err := f.CopyFrom(f.ctx, id, at)
	f.must(err)
	defer content.Close()
	found, in := map[string]*tar.Header{}, tar.NewReader(content)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return found
		}
		f.must(err)
		found[strings.TrimSuffix(h.Name, "/")] = h
	}
}

// wantNames checks which files a directory has, all below it included.
func (f *fixture) wantNames(id, at string, want ...string) {
	f.Helper()
	got := slices.Sorted(maps.Keys(f.headers(id, at)))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Errorf("%s has %q, want %q", at, got, want)
	}
}

func (f *fixture) wantText(id, at, want string) {
	f.Helper()
	if got := f.copyFrom(id, at)[path.Base(at)]; got != want {
		f.Errorf("%s has %q, want %q", at, got, want)
	}
}

// syncsItself reports whether the engine promises the most: one step for each file, and the container's help never needed.
func (f *fixture) syncsItself() bool {
	f.Helper()
	v, err := f.Version(f.ctx)
	f.must(err)
	return engine.EngineSyncs(v)
}

var syncCases = []testCase{
	{"files, directories and links arrive as they are", func(f *fixture) {
		id := f.run()
		f.sync(id, nil, folder("/app"), regular("/app/a", "one\n"), synced{name: "/app/run", mode: 0o755, text: "#!/bin/sh\n"},
			synced{name: "/app/set", mode: 0o755 | fs.ModeSetuid, text: "x", uid: 7}, synced{name: "/app/private", mode: fs.ModeDir | 0o700},
			regular("/app/private/deep/er/b", "two\n"), link("/app/link", "a"), folder("/app/empty"))
		if r := f.exec(id, "cat /app/a /app/private/deep/er/b /app/link"); r.stdout != "one\ntwo\none\n" {
			f.Errorf("in the container: %v", r)
		}
		set := f.headers(id, "/app")["app/set"]
		if set == nil || set.Uid != 7 || !set.ModTime.Equal(syncTime) {
			f.Errorf("the file is %+v, want owner 7 and time %v", set, syncTime)
		}
	}},
	{"names in the tar need no leading slash", func(f *fixture) {
		id := f.run()
		f.must(f.trySync(id, nil, regular("tmp/x/a", "1")))
		f.wantText(id, "/tmp/x/a", "1")
	}},
	{"a sync of nothing does nothing", func(f *fixture) { f.sync(f.run(), nil) }},
	{"compare tells every difference", syncDifferences},
	{"kinds replace each other", syncKinds},
	{"what is written replaces what is there", func(f *fixture) {
		id := f.run()
		f.sync(id, nil, regular("/tmp/a", "a longer text than the next"))
		f.sync(id, nil, regular("/tmp/a", "short"), synced{name: "/tmp", mode: fs.ModeDir | 0o755})
		f.sync(id, nil, regular("/tmp/a", "twice"), regular("/tmp/a", "twice in one tar"[:5]))
		f.wantText(id, "/tmp/a", "twice")
		f.wantNames(id, "/tmp", "tmp", "tmp/a")
	}},
	{"removal", func(f *fixture) {
		id := f.run()
		f.sync(id, nil, regular("/app/d/e/f/g", "1"), regular("/app/d/h", "1"), regular("/app/keep/x", "1"), regular("/app/file", "1"),
			link("/app/link", "/app/keep"), folder("/app/empty"), regular("/app/keep/y", "1"))
		f.must(f.trySync(id, []string{
			"/app/d/e/f/g", "/app/d/e/f", "/app/d/e", "/app/d/h", "/app/d", // a tree, from the bottom
			"/app/file", "/app/link", "/app/empty", "/app/none", "/none/none", "/app/file/none",
			"/app/keep/y", "/app/keep", // something else is in it
		}))
		f.wantNames(id, "/app", "app", "app/keep", "app/keep/x")
	}},
	{"what is removed can come back in the same call", func(f *fixture) {
		id := f.run()
		f.sync(id, nil, regular("/app/a/b", "1"), regular("/app/c", "1"))
		f.sync(id, []string{"/app/a/b", "/app/a", "/app/c"}, regular("/app/a", "now a file"), regular("/app/c/d", "now in a directory"))
		f.wantNames(id, "/app", "app", "app/a", "app/c", "app/c/d")
	}},
	{"names of all kinds", func(f *fixture) {
		id := f.run()
		var files []synced
		var names []string
		for _, name := range []string{"-rf", "--", "with space", "ünïcödé-日本", "*", "$(touch x)", "`a`", "'quoted\"", `back\slash`, "a\nb", "-", ".hidden", "%2e%2e", strings.Repeat("n", 200)} {
			files = append(files, regular("/app/"+name, name), regular("/app/d/"+name+"/x", name))
			names = append(names, "/app/"+name, "/app/d/"+name+"/x", "/app/d/"+name)
		}
		f.sync(id, nil, files...)
		if got := f.headers(id, "/app/with space"); got["with space"] == nil {
			f.Errorf("got %v", got)
		}
		f.must(f.trySync(id, append(names, "/app/d")))
		f.wantNames(id, "/app", "app")
	}},
	{"2000 files in one call", func(f *fixture) {
		id := f.run()
		var files []synced
		var names []string
		for i := range 2000 {
			files = append(files, regular(fmt.Sprintf("/app/d%d/s/file%d", i%20, i), fmt.Sprint(i)))
			names = append(names, files[i].name)
		}
		f.sync(id, nil, files...)
		f.must(f.trySync(id, names))
		if differ, err := f.CompareFiles(f.ctx, id, states(files)); err != nil || len(differ) != len(files) {
			f.Errorf("%d differ, %v", len(differ), err)
		}
	}},
	{"a container that does not run", func(f *fixture) {
		v := f.volume()
		id := f.create(command("cat", "/app/a", "/v/d/b"), bind(v+":/v"))
		f.sync(id, nil, regular("/app/a", "1\n"), regular("/v/d/b", "2\n"))
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "1\n2\n" {
			f.Errorf("the container saw %q", out)
		}
		err := f.trySync(id, []string{"/app/a"})
		if !f.syncsItself() {
			f.wantKind("removing without the container's help", err, engine.ErrConflict)
			return
		}
		f.must(err)
		f.wantNames(id, "/app", "app")
	}},
	{"what is written belongs to the container's user", func(f *fixture) {
		id := f.run(config(func(c *container.Config) { c.User = "user" }))
		f.sync(id, nil, folder("/app"), regular("/app/a", "1"), link("/app/l", "a"))
		for name, h := range f.headers(id, "/app") {
			if h.Uid != SeedOwner || h.Gid != SeedOwner {
				f.Errorf("%s belongs to %d:%d", name, h.Uid, h.Gid)
			}
		}
		f.must(f.trySync(id, []string{"/app/a", "/etc/plain"})) // whoever it belongs to
		f.wantNames(id, "/app", "app", "app/l")
	}},
	{"through a link to a directory", func(f *fixture) {
		id := f.run()
		f.exec(id, "mkdir /srv; mkdir /app; ln -s ../srv /app/l")
		f.sync(id, nil, regular("/app/l/a", "1"), regular("/app/l/sub/b", "2"))
		f.wantNames(id, "/srv", "srv", "srv/a", "srv/sub", "srv/sub/b")
		f.must(f.trySync(id, []string{"/app/l/a"}))
		f.wantNames(id, "/srv", "srv", "srv/sub", "srv/sub/b")
		f.wantNames(id, "/app", "app", "app/l")
	}},
	{"volumes get their part", func(f *fixture) {
		v := f.volume()
		id := f.run(bind(v + ":/app/v"))
		f.sync(id, nil, regular("/app/a", "1"), regular("/app/v/b", "2"))
		if _, out := f.runToEnd(command("cat", "/w/b"), bind(v+":/w")); out != "2" {
			f.Errorf("in the volume: %q", out)
		}
	}},
	{"a mount point does not give way", func(f *fixture) {
		v := f.volume()
		id := f.run(bind(v + ":/app/v"))
		f.sync(id, nil, regular("/app/a", "1"), regular("/app/v/b", "2"))
		for _, name := range []string{"/app", "/app/v"} {
			if err := f.trySync(id, []string{"/app/v"}, regular(name, "file"), regular("/tmp/other", name)); err == nil {
				f.Errorf("%s: no error", name)
			}
			f.wantText(id, "/app/v/b", "2")
			f.wantText(id, "/app/a", "1")
			f.wantText(id, "/tmp/other", name) // what could be done was done
		}
	}},
	{"a mount point of a container that does not run", func(f *fixture) {
		v := f.volume()
		id := f.create(command("cat", "/app/v/b"), bind(v+":/app/v"))
		f.sync(id, nil, regular("/app/a", "1"), regular("/app/v/b", "2"))
		for _, file := range []synced{regular("/app", "file"), regular("/app/v", "file"), link("/app/v", "a")} {
			f.wantKind(file.name, f.trySync(id, nil, file, regular("/tmp/other", file.name)), engine.ErrConflict)
			f.wantText(id, "/tmp/other", file.name)
			f.wantText(id, "/app/a", "1")
		}
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "2" {
			f.Errorf("the container saw %q", out)
		}
	}},
	{"a read-only root is refused", func(f *fixture) {
		id := f.run(host(func(h *container.HostConfig) { h.ReadonlyRootfs = true }))
		f.wantKind("write", f.trySync(id, nil, regular("/etc/plain", "x")), engine.ErrForbidden)
		f.wantKind("remove", f.trySync(id, []string{"/etc/plain"}), engine.ErrForbidden)
		f.wantText(id, "/etc/plain", "not a program\n")
	}},
	{"a hostile tar is refused", func(f *fixture) {
		id := f.run()
		for what, h := range map[string]*tar.Header{
			"a name that leads up": {Typeflag: tar.TypeReg, Name: "../../tmp/" + f.prefix},
			"one inside":           {Typeflag: tar.TypeReg, Name: "/app/../../tmp/" + f.prefix},
			"a hard link":          {Typeflag: tar.TypeLink, Name: "/app/hard", Linkname: "/etc/passwd"},
			"a device":             {Typeflag: tar.TypeBlock, Name: "/app/disk", Devmajor: 8},
			"a fifo":               {Typeflag: tar.TypeFifo, Name: "/app/fifo"},
		} {
			var evil bytes.Buffer
			w := tar.NewWriter(&evil)
			writeTar(f, w, h, nil)
			f.must(w.Close())
			f.wantKind(what, f.SyncFiles(f.ctx, id, &evil, engine.SyncOptions{}), engine.ErrInvalid)
		}
		f.wantKind("removing what is above", f.trySync(id, []string{"/app/../../x"}), engine.ErrInvalid)
		broken := f.syncTar([]synced{regular("/app/a", strings.Repeat("x", 5000))})
		f.wantKind("a broken tar", f.SyncFiles(f.ctx, id, io.LimitReader(broken, 3000), engine.SyncOptions{}), engine.ErrInvalid)
		f.wantDiffer("after a broken tar", id, []synced{regular("/app/a", "")}, 0)
	}},
	{"links that lead out stay inside", func(f *fixture) {
		outside := f.TempDir()
		id := f.run()
		f.exec(id, "mkdir /app; ln -s /../../../../../.."+outside+" /app/out")
		_ = f.trySync(id, []string{"/app/out/none"}, regular("/app/out/planted", "x")) // inside, or nowhere
		if names, err := fs.Glob(os.DirFS(outside), "*"); err != nil || len(names) > 0 {
			f.Errorf("the host got %v, %v", names, err)
		}
	}},
	{"two syncs at once", func(f *fixture) {
		id := f.run()
		var all sync.WaitGroup
		var files []synced
		for i := range 4 {
			var part []synced
			for j := range 50 {
				part = append(part, regular(fmt.Sprintf("/app/d/%d-%d", i, j), fmt.Sprint(i, j)), regular(fmt.Sprintf("/app/d/both%d", j), "same"))
			}
			files = append(files, part...)
			all.Go(func() {
				if err := f.trySync(id, nil, part...); err != nil {
					f.Error(err)
				}
			})
		}
		all.Wait()
		f.wantDiffer("afterwards", id, files)
	}},
	{"a call that is over", func(f *fixture) {
		id := f.run()
		done, cancel := context.WithCancel(f.ctx)
		cancel()
		if _, err := f.CompareFiles(done, id, states([]synced{regular("/a", "")})); !errors.Is(err, context.Canceled) {
			f.Errorf("compare: %v", err)
		}
		if err := f.SyncFiles(done, id, f.syncTar([]synced{regular("/a", "")}), engine.SyncOptions{}); !errors.Is(err, context.Canceled) {
			f.Errorf("sync: %v", err)
		}
	}},
}

func syncDifferences(f *fixture) {
	id := f.run()
	files := []synced{folder("/app"), regular("/app/a", "text"), synced{name: "/app/run", mode: 0o755, text: "x"}, link("/app/l", "a"), folder("/app/d")}
	f.wantDiffer("before", id, files, 0, 1, 2, 3, 4)
	f.sync(id, nil, files...)

	all := states(files)
	touched, other, blind := all[1], all[1], all[1]
	touched.ModTime = syncTime.Add(time.Hour)
	other.ModTime, other.Digest = touched.ModTime, states([]synced{regular("", "TEXT")})[0].Digest
	blind.ModTime, blind.Digest = touched.ModTime, nil
	fraction := all[1]
	fraction.ModTime, fraction.Digest = syncTime.Add(time.Second/2), nil
	longer, program, file, directory, elsewhere, gone := all[1], all[2], all[4], all[1], all[3], all[1]
	longer.Size++
	program.Mode = 0o644
	file.Mode = 0o644
	directory.Mode |= fs.ModeDir
	elsewhere.Link = "b"
	gone.Path = "/app/gone/none"
	within := all[1]
	within.Path = "/app/a/none"
	for _, c := range []struct {
		what   string
		state  engine.FileState
		differ bool
	}{
		{"the same", all[1], false},
		{"another time and the same content", touched, false},
		{"another fraction of a second", fraction, false},
		{"another time and another content of the same size", other, true},
		{"another time and a content that nobody knows", blind, true},
		{"another size", longer, true},
		{"other permissions", program, true},
		{"a file that is a directory", file, true},
		{"a directory that is a file", directory, true},
		{"a link that leads elsewhere", elsewhere, true},
		{"what is not there", gone, true},
		{"what is below a file", within, true},
	} {
		got, err := f.CompareFiles(f.ctx, id, []engine.FileState{all[0], c.state, all[3]})
		f.must(err)
		if slices.Equal(got, []int{1}) != c.differ || len(got) > 1 {
			f.Errorf("%s: %v differ; does it? %v", c.what, got, c.differ)
		}
	}
}

func syncKinds(f *fixture) {
	id := f.run()
	kinds := map[string][]synced{
		"file":           {regular("/app/x", "file")},
		"directory":      {folder("/app/x"), regular("/app/x/in/side", "1")},
		"link":           {link("/app/x", "target")},
		"link elsewhere": {link("/app/x", "/none")},
	}
	target := []synced{folder("/app/target"), regular("/app/target/kept", "1")}
	f.sync(id, nil, target...)
	for from, old := range kinds {
		for to, files := range kinds {
			f.must(f.trySync(id, []string{"/app/x/in/side", "/app/x/in", "/app/x"}))
			f.sync(id, nil, old...)
			if err := f.trySync(id, nil, files...); err != nil {
				f.Errorf("%s to %s: %v", from, to, err)
			}
			f.wantDiffer(from+" to "+to, id, append(files, target...))
		}
	}
}
