package fsnotify

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/watchtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(namespaces) != "" { // where little may be watched; whoever started this one holds
		os.Exit(m.Run())
	}
	os.Exit(watchtest.Held(m).Run())
}

const patience = 10 * time.Second

// What editors and people do to files on a real file system is told; nothing else is.
func TestWatcher(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "project")
	file := filepath.Join(dir, "compose.yaml")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(file, []byte("a"), 0o600))
	linked := filepath.Join(filepath.Dir(dir), "current", "file")
	must(t, first(os.WriteFile(filepath.Join(makeDir(t, dir, "v1"), "file"), []byte("1"), 0o600),
		os.WriteFile(filepath.Join(makeDir(t, dir, "v2"), "file"), []byte("2"), 0o600), os.Symlink("v1", filepath.Dir(linked))))
	w := watch.New(open(t))
	defer func() { must(t, w.Close()) }()
	must(t, w.Files([]string{file, filepath.Join(dir, "sub", "env"), linked}, time.Now().Add(time.Hour)))
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"written in place", func() error { return os.WriteFile(file, []byte("b"), 0o600) }},
		{"renamed over", func() error {
			return first(os.WriteFile(file+"~", []byte("c"), 0o600), os.Rename(file+"~", file))
		}},
		{"moved away and written anew", func() error {
			return first(os.Rename(file, file+".bak"), os.WriteFile(file, []byte("d"), 0o600))
		}},
		{"removed", func() error { return os.Remove(file) }},
		{"made", func() error { return os.WriteFile(file, []byte("e"), 0o600) }},
		{"in a new directory", func() error {
			return first(os.Mkdir(filepath.Join(dir, "sub"), 0o700), os.WriteFile(filepath.Join(dir, "sub", "env"), []byte("A=1"), 0o600))
		}},
		{"changed in it", func() error { return os.WriteFile(filepath.Join(dir, "sub", "env"), []byte("A=2"), 0o600) }},
		{"everything replaced", func() error {
			return first(os.Rename(dir, dir+".old"), os.MkdirAll(filepath.Join(dir, "sub"), 0o700), os.WriteFile(file, []byte("f"), 0o600))
		}},
		{"a link on the way turned", func() error {
			link := filepath.Dir(linked)
			return first(os.Symlink("v2", link+"~"), os.Rename(link+"~", link))
		}},
		{"changed where it leads", func() error { return os.WriteFile(linked, []byte("3"), 0o600) }},
		{"changed after that", func() error { return os.WriteFile(file, []byte("g"), 0o600) }},
	} {
		must(t, step.do())
		select {
		case <-w.Changed():
		case <-time.After(patience):
			t.Fatalf("%s: nothing was told", step.name)
		}
	}
}

// makeDir makes a directory beside another one.
func makeDir(t *testing.T, beside, name string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(beside), name)
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
