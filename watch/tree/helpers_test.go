package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
)

// patience is how long something real may take on a machine that is very busy.
const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opened is a tree on the kernel's events that is closed after the test. Nothing may be told.
func opened(t testing.TB, roots ...Root) *Tree {
	t.Helper()
	return openedOn(t, kernel(t), roots...)
}

func kernel(t testing.TB) watch.Source {
	t.Helper()
	source, err := fsnotify.New()
	must(t, err)
	return source
}

// counting notes what is added.
type counting struct {
	watch.Source
	mu    sync.Mutex
	added map[string]int
}

func (c *counting) Add(dir string) error {
	c.mu.Lock()
	c.added[dir]++
	c.mu.Unlock()
	return c.Source.Add(dir)
}

func (c *counting) times(dir string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.added[dir]
}

func openedOn(t testing.TB, source watch.Source, roots ...Root) *Tree {
	t.Helper()
	tr := Open(source, Options{Told: func(err error) { t.Errorf("told: %v", err) }})
	t.Cleanup(func() { must(t, tr.Close()) })
	must(t, tr.Watch(t.Context(), roots))
	return tr
}

// write makes a file and the directories above it.
func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// put makes the file as editors do: another one takes its place.
func put(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+"~", text)
	must(t, os.Rename(path+"~", path))
}

// replica is what somebody knows who was told all batches.
type replica map[string]Entry

// replicaOf is what the tree has now.
func replicaOf(t *Tree, roots ...Root) replica {
	r := replica{}
	for _, root := range roots {
		t.Each(root.Path, func(path string, e Entry) bool {
			r[path] = e
			return true
		})
	}
	return r
}

// apply takes over a batch, and says what is wrong with it.
func (r replica) apply(b Batch) error {
	var wrong []error
	for i, c := range b.Changes {
		was := r[c.Path]
		if i > 0 && b.Changes[i-1].Path >= c.Path {
			wrong = append(wrong, fmt.Errorf("%s is not in its order", c.Path))
		}
		if was.Digest == (Digest{}) {
			was.Digest = c.Was.Digest // it was read meanwhile
		}
		if c.Was.differs(was) && was.Digest != (Digest{}) {
			wrong = append(wrong, fmt.Errorf("%s was %+v, not %+v", c.Path, was, c.Was))
		}
		if !c.Was.differs(c.Is) {
			wrong = append(wrong, fmt.Errorf("%s has not changed: %+v", c.Path, c.Is))
		}
		if c.Is.Kind == None {
			delete(r, c.Path)
		} else {
			r[c.Path] = c.Is
		}
	}
	return errors.Join(wrong...)
}

// onDisk is what there is below the roots, without their files' times.
func onDisk(t testing.TB, roots ...Root) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, root := range roots {
		_ = filepath.WalkDir(root.Path, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if path != root.Path && root.Skip != nil && root.Skip(path, e.IsDir()) {
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if line := describe(path); line != "" {
				out[path] = line
			}
			return nil
		})
	}
	return out
}

func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	switch {
	case info.IsDir():
		return fmt.Sprint("directory ", mode)
	case info.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return "link to " + to
	case info.Mode().IsRegular():
		text, _ := os.ReadFile(path)
		return fmt.Sprintf("file %v of %d bytes, %x", mode, len(text), digestOfText(text))
	}
	return ""
}

// described is the replica in the same words. What was not read is read now.
func (r replica) described() map[string]string {
	out := map[string]string{}
	for path, e := range r {
		switch e.Kind {
		case Dir:
			out[path] = fmt.Sprint("directory ", e.Mode)
		case Link:
			out[path] = "link to " + e.Link
		case File:
			digest := e.Digest
			if digest == (Digest{}) {
				text, _ := os.ReadFile(path)
				digest = digestOfText(text)
			}
			out[path] = fmt.Sprintf("file %v of %d bytes, %x", e.Mode, e.Size, digest)
		}
	}
	return out
}

// difference says where two descriptions differ.
func difference(got, want map[string]string) error {
	paths := maps.Clone(got)
	maps.Copy(paths, want)
	var wrong []error
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if got[path] != want[path] {
			wrong = append(wrong, fmt.Errorf("%s: got %q, want %q", path, got[path], want[path]))
		}
	}
	return errors.Join(wrong...)
}
