package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func of(t *testing.T, path string) Identity {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return Of(unix.AT_FDCWD, path, &st)
}

// A directory has one identity under all its paths, and none of another's before it, whatever the file system does with numbers.
func TestOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		mount func(t *testing.T) string
	}{
		{"here", func(t *testing.T) string { return t.TempDir() }},
		{"overlay", overlay},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := c.mount(t)
			dir, link := filepath.Join(base, "d"), filepath.Join(base, "link")
			before := map[Identity]bool{}
			for range 10 {
				if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("d", link), os.WriteFile(dir+"/file", nil, 0o600)); err != nil {
					t.Fatal(err)
				}
				id := of(t, dir)
				if of(t, link) != id {
					t.Errorf("the link leads to %v, not to %v", of(t, link), id)
				}
				if before[id] {
					t.Errorf("a directory before it was %v, too", id)
				}
				before[id] = true
				if err := errors.Join(os.RemoveAll(dir), os.Remove(link)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func overlay(t *testing.T) string {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", at("lower"), at("upper"), at("work"))
	if err := unix.Mount("overlay", at("merged"), "overlay", 0, options); err != nil {
		t.Skip("no overlay can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at("merged"), 0); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := unix.NameToHandleAt(unix.AT_FDCWD, at("merged"), forComparison); err != nil {
		t.Skip("this kernel gives no handles of an overlay: ", err)
	}
	return at("merged")
}
