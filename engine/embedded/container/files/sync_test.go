package files

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

const temporary = ".stack-sync-test"

func syncTo(t *testing.T, root *os.File, remove []string, entries ...entry) error {
	t.Helper()
	return Sync(t.Context(), root, archive(t, entries...),
		SyncOptions{SyncOptions: engine.SyncOptions{Remove: remove}, Temporary: temporary})
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return string(content)
}

// noTemporary fails if a temporary file is left anywhere.
func noTemporary(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == temporary {
			t.Errorf("%s is left", path)
		}
		return err
	}))
}

func TestSyncGivesWhatTheTarSays(t *testing.T) {
	root, dir, _ := tree(t)
	must(t, syncTo(t, root, nil, file("/data/linked/new", "content")))
	info, err := os.Stat(filepath.Join(dir, "data/sub/new"))
	must(t, err)
	stat := info.Sys().(*unixStat)
	if info.Mode().Perm() != 0o711 || info.Mode()&os.ModeSetuid == 0 || stat.Uid != 12 || stat.Gid != 34 || info.ModTime().Unix() != 1_000_000_000 {
		t.Errorf("mode %v, owner %d:%d, time %v", info.Mode(), stat.Uid, stat.Gid, info.ModTime())
	}
	opts := SyncOptions{Temporary: temporary, Owner: &Owner{7, 8}}
	must(t, Sync(t.Context(), root, archive(t, file("/made/on/the/way", "")), opts))
	for _, name := range []string{"made", "made/on/the", "made/on/the/way"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if stat := info.Sys().(*unixStat); stat.Uid != 7 || stat.Gid != 8 {
			t.Errorf("%s belongs to %d:%d", name, stat.Uid, stat.Gid)
		}
	}
}

// Somebody in the container swaps a directory for a link that leads out, again and again, while files come and go.
func TestSyncWhileTheTreeChanges(t *testing.T) {
	root, dir, secret := tree(t)
	must(t, os.Symlink(filepath.Dir(dir), filepath.Join(dir, "data/trap")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "data/sub"), unix.AT_FDCWD, filepath.Join(dir, "data/trap"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	want := []engine.FileState{{Path: "/data/sub/secret", Mode: 0o600, Size: 6, ModTime: time.Unix(1, 0), Digest: digest("secret")}}
	for i := range 300 {
		dirs := entry{tar.Header{Typeflag: tar.TypeDir, Name: "/data/sub/root"}, ""}
		link := entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "/data/sub/secret", Linkname: "x"}, ""}
		_ = syncTo(t, root, []string{"/data/sub/secret", "/data/sub/root"}, dirs, file("/data/sub/secret", "overwritten"), link, file("/data/sub/root", "no directory any more"))
		if differ, err := Compare(t.Context(), root, want); err == nil && len(differ) == 0 && i == 0 {
			t.Error("a file outside was compared")
		}
	}
	close(stop)
	<-stopped
	if got := textOf(t, secret); got != "secret" {
		t.Fatalf("the secret is %q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "etc/motd")); err != nil || !info.Mode().IsRegular() {
		t.Fatalf("the root was taken away: %v", err)
	}
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:8]
}

// Who reads sees one content or the other, whichever way new files come about.
func TestReadersSeeWholeFiles(t *testing.T) {
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprint("named ", named), func(t *testing.T) {
			root, dir, _ := tree(t)
			contents := []string{strings.Repeat("a", 200_000), strings.Repeat("b", 100_000), ""}
			put := func(text string) {
				s := syncer{dirs: newParents(root, anywhere), opts: SyncOptions{Temporary: temporary}, buffer: make([]byte, 4096), onlyNamed: named}
				must(t, s.unpack(t.Context(), archive(t, file("/data/read", text))))
			}
			put(contents[0])
			stop := make(chan struct{})
			var reader sync.WaitGroup
			reader.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					got, err := os.ReadFile(filepath.Join(dir, "data/read"))
					if err != nil || !slices.Contains(contents, string(got)) {
						t.Errorf("read %d bytes, %v", len(got), err)
						return
					}
				}
			})
			for i := range 200 {
				put(contents[i%len(contents)])
			}
			close(stop)
			reader.Wait()
			noTemporary(t, dir)
		})
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	leave := map[string]func(name string) error{
		"a file":      func(name string) error { return os.WriteFile(name, []byte("half"), 0o600) },
		"a link":      func(name string) error { return os.Symlink("/etc/motd", name) },
		"a directory": func(name string) error { return os.MkdirAll(filepath.Join(name, "full"), 0o700) },
	}
	for what, makeIt := range leave {
		for _, named := range []bool{false, true} {
			root, dir, _ := tree(t)
			must(t, makeIt(filepath.Join(dir, "data/sub", temporary)))
			s := syncer{dirs: newParents(root, anywhere), opts: SyncOptions{Temporary: temporary}, buffer: make([]byte, 4096), onlyNamed: named}
			must(t, s.unpack(t.Context(), archive(t, file("/data/sub/file", "new"))))
			s.dirs.forget()
			if got := textOf(t, filepath.Join(dir, "data/sub/file")); got != "new" {
				t.Errorf("%s: the file has %q", what, got)
			}
			if got := textOf(t, filepath.Join(dir, "etc/motd")); got != "hello" {
				t.Errorf("%s: the link was followed: %q", what, got)
			}
			noTemporary(t, dir)
		}
	}
}

// elsewhere calls f in a mount namespace of its own and returns the root that a process there has at dir. What is mounted
// there is invisible here, as with a container.
func elsewhere(t *testing.T, dir string, f func() error) *os.File {
	t.Helper()
	var root *os.File
	done, end := make(chan error), make(chan struct{})
	t.Cleanup(func() { close(end) })
	go func() {
		runtime.LockOSThread() // and never unlocked: the namespace lasts as long as the thread
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = f()
		}
		if err == nil {
			root, err = os.Open(dir)
		}
		done <- err
		<-end
	}()
	must(t, <-done)
	t.Cleanup(func() { root.Close() })
	return root
}

func TestMountPointsStay(t *testing.T) {
	_, dir, secret := tree(t)
	outside := filepath.Dir(secret)
	must(t, os.MkdirAll(filepath.Join(outside, "volume/kept"), 0o755))
	for _, name := range []string{"data/volume", "data/other"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "data/single"), nil, 0o644))
	root := elsewhere(t, dir, func() error {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return errors.Join(
			unix.Mount(filepath.Join(outside, "volume"), filepath.Join(dir, "data/volume"), "", unix.MS_BIND, ""),
			unix.Mount(secret, filepath.Join(dir, "data/single"), "", unix.MS_BIND, ""))
	})
	volume := entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "/data/volume", Linkname: "x"}, ""}
	for what, err := range map[string]error{
		"a directory with a mount in it": syncTo(t, root, nil, file("/data", "x")),
		"a directory by a file":          syncTo(t, root, nil, file("/data/volume", "x")),
		"a directory by a link":          syncTo(t, root, nil, volume),
		"a file by a directory":          syncTo(t, root, nil, entry{tar.Header{Typeflag: tar.TypeDir, Name: "/data/single"}, ""}),
		"a removed file":                 syncTo(t, root, []string{"/data/single"}),
		"a file of cp":                   Unpack(root, "/data", archive(t, file("single", "x")), UnpackOptions{ReplaceKinds: true}),
		"a directory of cp":              Unpack(root, "/data", archive(t, file("volume", "x")), UnpackOptions{ReplaceKinds: true}),
	} {
		if !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "mount point") {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, syncTo(t, root, []string{"/data/volume"}))
	if _, err := os.Stat(filepath.Join(outside, "volume/kept")); err != nil {
		t.Errorf("what was mounted was emptied: %v", err)
	}
	must(t, syncTo(t, root, nil, file("/data/single", "in place"), file("/data/volume/new", "in the volume")))
	for name, want := range map[string]string{secret: "in place", filepath.Join(outside, "volume/new"): "in the volume"} {
		if got := textOf(t, name); got != want {
			t.Errorf("%s has %q", name, got)
		}
	}
	noTemporary(t, dir)
}

func TestWhatCannotBeWritten(t *testing.T) {
	_, dir, _ := tree(t)
	must(t, os.Mkdir(filepath.Join(dir, "small"), 0o755))
	root := elsewhere(t, dir, func() error {
		return errors.Join(
			unix.Mount(dir, dir, "", unix.MS_BIND, ""),
			unix.Mount(filepath.Join(dir, "etc"), filepath.Join(dir, "etc"), "", unix.MS_BIND, ""),
			unix.Mount("", filepath.Join(dir, "etc"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
			unix.Mount("tmpfs", filepath.Join(dir, "small"), "tmpfs", 0, "size=64k"))
	})
	must(t, syncTo(t, root, nil, file("/small/file", "old")))
	for _, test := range []struct {
		what   string
		remove []string
		entry  entry
		kind   error
		says   string
	}{
		{"a read-only mount", nil, file("/etc/motd", "x"), engine.ErrForbidden, "read-only"},
		{"a directory in it", nil, file("/etc/new/motd", "x"), engine.ErrForbidden, "read-only"},
		{"removing from it", []string{"/etc/motd"}, file("/data/x", "x"), engine.ErrForbidden, "read-only"},
		{"a full disk", nil, file("/small/file", strings.Repeat("x", 200_000)), engine.ErrUnavailable, "full"},
		{"below a file", nil, file("/data/sub/file/x", "x"), engine.ErrConflict, "no directory"},
	} {
		err := syncTo(t, root, test.remove, test.entry, file("/data/after", test.what))
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.what, err)
		}
		if got := textOf(t, filepath.Join(dir, "data/after")); got != test.what {
			t.Errorf("%s: what comes after it was not done", test.what)
		}
	}
	if content, err := openChildOf(root, "small/file"); err != nil || content != "old" {
		t.Errorf("what did not fit left %d bytes, %v", len(content), err)
	}
	many := syncTo(t, root, nil, slices.Repeat([]entry{file("/etc/motd", "x")}, 30)...)
	if many == nil || strings.Count(many.Error(), "read-only") != 10 || !strings.Contains(many.Error(), "and 20 more") {
		t.Errorf("many failures: %v", many)
	}
}

func openChildOf(root *os.File, name string) (string, error) {
	content := OpenText(root, name)
	defer content.Close()
	text, err := io.ReadAll(content)
	return string(text), err
}

// The directory that was written into last is taken away meanwhile.
func TestSyncIntoADirectoryThatWasRemoved(t *testing.T) {
	root, dir, _ := tree(t)
	s := syncer{dirs: newParents(root, anywhere), opts: SyncOptions{Temporary: temporary}, buffer: make([]byte, 4096)}
	must(t, s.unpack(t.Context(), archive(t, file("/data/d/a", "1"))))
	must(t, os.RemoveAll(filepath.Join(dir, "data/d")))
	must(t, s.unpack(t.Context(), archive(t, file("/data/d/b", "2"))))
	must(t, engine.SyncFailure(s.failed))
	if got := textOf(t, filepath.Join(dir, "data/d/b")); got != "2" {
		t.Errorf("got %q", got)
	}
	s.dirs.forget()
}

func TestSyncEndsWithItsContext(t *testing.T) {
	root, dir, _ := tree(t)
	ctx, cancel := context.WithCancel(t.Context())
	content, err := io.ReadAll(archive(t, file("/data/a", "1"), file("/data/b", strings.Repeat("x", 300_000)), file("/data/c", "3")))
	must(t, err)
	first := io.LimitReader(bytes.NewReader(content), 4000) // in the middle of the second file
	err = Sync(ctx, root, io.MultiReader(first, cancelling(cancel), bytes.NewReader(content[4000:])), SyncOptions{Temporary: temporary})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for name, want := range map[string]bool{"data/a": true, "data/b": false, "data/c": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	noTemporary(t, dir)
}

// cancelling is an empty reader that ends a context.
func cancelling(cancel func()) io.Reader { return cancelReader{cancel} }

type cancelReader struct{ cancel func() }

func (c cancelReader) Read([]byte) (int, error) { c.cancel(); return 0, io.EOF }

// More directories than stay open, in an order that needs each of them again.
func TestManyDirectories(t *testing.T) {
	root, _, _ := tree(t)
	var entries []entry
	var want []engine.FileState
	for round := range 2 {
		for i := range openParents + 50 {
			name := fmt.Sprintf("/data/many/%d/%d", i, round)
			entries = append(entries, file(name, name))
			want = append(want, engine.FileState{Path: name, Mode: 0o711 | os.ModeSetuid, Size: int64(len(name)), ModTime: time.Unix(1_000_000_000, 0)})
		}
	}
	before := openFiles(t)
	must(t, syncTo(t, root, nil, entries...))
	if differ, err := Compare(t.Context(), root, want); err != nil || len(differ) > 0 {
		t.Errorf("%v differ, %v", differ, err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files were open before, %d are now", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// A link that leads to itself leads to nothing, and what is not there is removed already.
func TestNothingIsBehindALoop(t *testing.T) {
	root, dir, _ := tree(t)
	must(t, os.Symlink("loop", filepath.Join(dir, "data/loop")))
	must(t, syncTo(t, root, []string{"/data/loop/file", "/data/loop/dir/file", "/data/loop"}, file("/data/new", "1")))
	if _, err := os.Lstat(filepath.Join(dir, "data/loop")); !os.IsNotExist(err) {
		t.Errorf("the link is there: %v", err)
	}
}
