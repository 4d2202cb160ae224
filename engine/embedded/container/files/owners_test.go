package files

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// asNoOwner calls f on a thread that may not give files away, as if the file system had no owners.
func asNoOwner(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with what it may not do
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&head, &sets[0])
		sets[0].Effective &^= 1 << unix.CAP_CHOWN
		if err == nil {
			err = unix.Capset(&head, &sets[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

// What cannot be given to its owner is told, and is not there as if it were right.
func TestWhatCannotBeGivenAway(t *testing.T) {
	root, dir, _ := tree(t)
	owner := &Owner{7, 8}
	link := entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "/data/new", Linkname: "x", Uid: 7}, ""}
	folder := entry{tar.Header{Typeflag: tar.TypeDir, Name: "/data/new", Uid: 7}, ""}
	for what, put := range map[string]struct {
		entry entry
		owner *Owner
	}{
		"a file":                 {file("/data/new", "x"), nil},
		"a file of the user":     {file("/data/new", "x"), owner},
		"a directory":            {folder, nil},
		"a directory of a user":  {folder, owner},
		"a link":                 {link, owner},
		"a directory on the way": {file("/data/new/file", "x"), owner},
	} {
		var err error
		content := archive(t, put.entry)
		asNoOwner(t, func() {
			err = Sync(t.Context(), root, content, SyncOptions{Temporary: temporary, Owner: put.owner})
		})
		if !errors.Is(err, engine.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "data/new")); !os.IsNotExist(err) {
			t.Errorf("%s is there, %v", what, err)
		}
		noTemporary(t, dir)
	}
}

// A link that has gone leads nowhere, whatever was done through it before in the same call.
func TestLinksThatGiveWay(t *testing.T) {
	folder := func(name string) entry { return entry{tar.Header{Typeflag: tar.TypeDir, Name: name}, ""} }
	turned := entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "/data/linked", Linkname: "../etc"}, ""}
	for what, c := range map[string]struct {
		remove  []string
		entries []entry
		want    string
	}{
		"removed":     {[]string{"/data/linked/none", "/data/linked"}, []entry{file("/data/linked/new", "x")}, "data/linked/new"},
		"a directory": {[]string{"/data/linked/d/none"}, []entry{folder("/data/linked"), file("/data/linked/d/new", "x")}, "data/linked/d/new"},
		"turned":      {[]string{"/data/linked/none"}, []entry{turned, file("/data/linked/new", "x")}, "etc/new"},
	} {
		root, dir, _ := tree(t)
		must(t, os.Mkdir(filepath.Join(dir, "data/sub/d"), 0o755))
		must(t, syncTo(t, root, c.remove, c.entries...))
		for _, name := range []string{"data/sub/new", "data/sub/d/new"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s: %s is there, %v", what, name, err)
			}
		}
		if got := textOf(t, filepath.Join(dir, c.want)); got != "x" {
			t.Errorf("%s: %s has %q", what, c.want, got)
		}
	}
}
