package session

import (
	"crypto/sha256"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stackrun.dev/stack/watch/tree"
)

// source is a tree in memory: what is set shows at once, and is told of with tell.
type source struct {
	batches chan tree.Batch
	roots   func([]tree.Root) error // what Watch does, if anything

	mu      sync.Mutex
	entries map[string]tree.Entry
	changes map[string]tree.Change
	since   time.Time
}

func newSource() *source {
	return &source{batches: make(chan tree.Batch), entries: map[string]tree.Entry{}, changes: map[string]tree.Change{}}
}

func (s *source) Watch(roots []tree.Root) error {
	if s.roots != nil {
		return s.roots(roots)
	}
	return nil
}

func (s *source) Batches() <-chan tree.Batch { return s.batches }

func (s *source) Each(root string, visit func(string, tree.Entry) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[root]
	if ok && !visit(root, e) || e.Kind != tree.Dir {
		return
	}
	for _, p := range slices.Sorted(maps.Keys(s.entries)) {
		if p != root && within(p, root) && !visit(p, s.entries[p]) {
			return
		}
	}
}

// put makes the path what the text says: "" nothing, "dir", "-> link", else a file with this content. Directories above it are
// made, and what was below it goes.
func (s *source) put(file, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" {
		for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
			if s.entries[dir].Kind != tree.Dir {
				s.set(dir, tree.Entry{Kind: tree.Dir, Mode: 0o755})
			}
		}
	}
	e := entryOf(text)
	for p := range s.entries {
		if p != file && within(p, file) && e.Kind != tree.Dir {
			s.set(p, tree.Entry{})
		}
	}
	s.set(file, e)
}

func (s *source) set(file string, e tree.Entry) {
	was := s.entries[file]
	if was == e {
		return
	}
	if e.Kind == tree.None {
		delete(s.entries, file)
	} else {
		s.entries[file] = e
	}
	if c, ok := s.changes[file]; ok {
		was = c.Was
	}
	if len(s.changes) == 0 {
		s.since = time.Now()
	}
	s.changes[file] = tree.Change{Path: file, Was: was, Is: e} // told though it was undone: Each has shown it
}

// take is the batch of what has changed since the one before.
func (s *source) take() tree.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := tree.Batch{Since: s.since}
	for _, p := range slices.Sorted(maps.Keys(s.changes)) {
		b.Changes = append(b.Changes, s.changes[p])
	}
	clear(s.changes)
	return b
}

// tell sends the batch, if there is something in it.
func (s *source) tell() {
	if b := s.take(); len(b.Changes) > 0 {
		s.batches <- b
	}
}

func entryOf(text string) tree.Entry {
	link, isLink := strings.CutPrefix(text, "-> ")
	switch {
	case text == "":
		return tree.Entry{}
	case text == "dir":
		return tree.Entry{Kind: tree.Dir, Mode: 0o755}
	case isLink:
		return tree.Entry{Kind: tree.Link, Link: link}
	}
	sum := sha256.Sum256([]byte(text))
	return tree.Entry{Kind: tree.File, Mode: 0o644, Size: int64(len(text)), Digest: tree.Digest(sum[:16])}
}

// TestSource: the tree of the tests tells what has changed, and nothing else.
func TestSource(t *testing.T) {
	s := newSource()
	s.put("/src/d/a", "1")
	if b := s.take(); len(b.Changes) != 3 || b.Changes[2].Path != "/src/d/a" {
		t.Errorf("made: %v", b.Changes)
	}
	s.put("/src/d/a", "2")
	s.put("/src/d/a", "1")
	if b := s.take(); len(b.Changes) != 1 {
		t.Errorf("there and back: %v", b.Changes)
	}
	s.put("/src/d", "file")
	if b := s.take(); len(b.Changes) != 2 || b.Changes[1].Is.Kind != tree.None {
		t.Errorf("a file for a directory: %v", b.Changes)
	}
}
