package watchtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// follower knows a tree by nothing but what a source tells: it adds, then lists.
type follower struct {
	source watch.Source
	root   string
	rests  chan struct{} // has a value when what was told is taken in
	ended  chan struct{}

	mu   sync.Mutex
	seen map[string]string // by path: what is there
}

// follow begins to. It ends when the source is closed.
func follow(t *testing.T, source watch.Source, root string) *follower {
	t.Helper()
	f := &follower{source: source, root: root, rests: make(chan struct{}, 1), ended: make(chan struct{}), seen: map[string]string{}}
	f.look(root, true)
	go f.run()
	return f
}

// run takes in what is told, and says so whenever nothing more waits.
func (f *follower) run() {
	defer close(f.ended)
	events := f.source.Events()
	for {
		select {
		case e, open := <-events:
			if !open {
				return
			}
			f.hear(e)
			continue
		default:
		}
		select {
		case f.rests <- struct{}{}:
		default: // nobody has looked since
		}
		e, open := <-events
		if !open {
			return
		}
		f.hear(e)
	}
}

func (f *follower) hear(e watch.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Lost {
		f.look(f.root, true)
	} else {
		f.look(filepath.Join(e.Dir, e.Name), false)
	}
}

// look takes in what is at the path by now, and below it what was not known; of the directories that are known something would be
// told. With all it believes in nothing.
func (f *follower) look(path string, all bool) {
	if path != f.root && !isDirectory(f.seen[filepath.Dir(path)]) {
		return // an event that was under way, of a directory whose path leads through a link by now
	}
	is := describe(path)
	if !isDirectory(is) {
		f.forget(path)
	}
	if is == "" {
		return
	}
	f.seen[path] = is
	if !isDirectory(is) {
		return
	}
	if f.source.Add(path) != nil { // it has gone; that is told
		f.forget(path)
		return
	}
	entries, _ := os.ReadDir(path)
	there := map[string]bool{}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		there[name] = true
		if all || !isDirectory(f.seen[name]) || !e.IsDir() {
			f.look(name, all)
		}
	}
	for _, known := range slices.Collect(maps.Keys(f.seen)) {
		if filepath.Dir(known) == path && known != path && !there[known] {
			f.forget(known)
		}
	}
}

func isDirectory(is string) bool { return strings.HasPrefix(is, "directory") }

// forget takes in that nothing is there any more.
func (f *follower) forget(path string) {
	for known, what := range f.seen {
		if known == path || strings.HasPrefix(known, path+"/") {
			if isDirectory(what) {
				f.source.Remove(known)
			}
			delete(f.seen, known)
		}
	}
}

// describe says what is at a path, and nothing if nothing is.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	switch {
	case info.IsDir():
		return "directory " + info.Mode().String()
	case info.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return "link to " + to
	default:
		content, _ := os.ReadFile(path)
		return fmt.Sprintf("file %v %q", info.Mode(), content)
	}
}

// agrees waits until the follower knows what is there. It looks whenever the follower has nothing to do.
func (f *follower) agrees(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for {
		err := f.compare()
		if err == nil {
			return
		}
		select {
		case <-f.rests:
		case <-late:
			t.Fatalf("this is not noticed:\n%v", err)
		}
	}
}

// compare says what the follower does not know.
func (f *follower) compare() error {
	real := map[string]string{}
	_ = filepath.WalkDir(f.root, func(path string, _ fs.DirEntry, _ error) error {
		if is := describe(path); is != "" {
			real[path] = is
		}
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for path, is := range real {
		if f.seen[path] != is {
			errs = append(errs, fmt.Errorf("%s is %q and was taken for %q", path, is, f.seen[path]))
		}
	}
	for path, is := range f.seen {
		if real[path] == "" {
			errs = append(errs, fmt.Errorf("%s is gone and was taken for %q", path, is))
		}
	}
	return errors.Join(errs...)
}
