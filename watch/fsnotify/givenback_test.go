package fsnotify

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/watch/watchtest"
)

// When all that was added is removed nothing is watched any more, by the kernel least of all, whatever happened meanwhile.
func TestGivenBack(t *testing.T) {
	before := watchesOfKernel(t)
	s := open(t).(*Source)
	defer func() { must(t, s.Close()) }()
	go func() {
		for range s.Events() {
		}
	}()
	random := rand.New(rand.NewPCG(watchtest.Seed(t), 2))
	base := t.TempDir()
	added := map[string]bool{}
	for range 5000 {
		path, other := anyPath(random, base), anyPath(random, base)
		switch random.IntN(9) {
		case 0, 1:
			_ = os.MkdirAll(path, 0o700)
		case 2:
			_ = os.RemoveAll(path)
		case 3:
			_ = os.Rename(path, other)
		case 4:
			_ = os.Symlink(other, path)
		case 5, 6, 7:
			_ = s.Add(path)
			added[path] = true
		case 8:
			s.Remove(path)
		}
	}
	for path := range added {
		s.Remove(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.places) > 0 || len(s.known) > 0 || len(s.directories) > 0 {
		t.Errorf("%d paths and %d directories are kept, %d under a path", len(s.places), len(s.directories), len(s.known))
	}
	if list := s.library.WatchList(); len(list) > 0 {
		t.Errorf("the library watches %v", list)
	}
	if n := watchesOfKernel(t); n > before {
		t.Errorf("the kernel watches %d directories more than before", n-before)
	}
}

// anyPath is one of few, so that they meet.
func anyPath(random *rand.Rand, base string) string {
	for range 1 + random.IntN(3) {
		base = filepath.Join(base, string(rune('a'+random.IntN(3))))
	}
	return base
}

// watchesOfKernel is how many directories the kernel watches for this process.
func watchesOfKernel(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	must(t, err)
	for _, file := range files {
		text, _ := os.ReadFile(file) // that of the directory itself is gone
		n += strings.Count(string(text), "inotify wd:")
	}
	return n
}
