package session

import (
	"context"
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

// source is a tree in memory: what is put on its disk shows when it is looked at, and is told of with tell.
type source struct {
	batches chan tree.Batch
	roots   func([]tree.Root) error // what Watch does, if anything

	mu      sync.Mutex
	disk    map[string]tree.Entry
	seen    map[string]tree.Entry
	touched map[string]bool // on disk, since it was looked at
	changes map[string]tree.Change
	since   time.Time
}

func newSource() *source {
	return &source{
		batches: make(chan tree.Batch), disk: map[string]tree.Entry{}, seen: map[string]tree.Entry{},
		touched: map[string]bool{}, changes: map[string]tree.Change{},
	}
}

func (s *source) Watch(_ context.Context, roots []tree.Root) error {
	if s.roots != nil {
		return s.roots(roots)
	}
	return nil
}

func (s *source) Batches() <-chan tree.Batch { return s.batches }

func (s *source) Each(root string, visit func(string, tree.Entry) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.seen[root]
	if ok && !visit(root, e) || e.Kind != tree.Dir {
		return
	}
	for _, p := range slices.Sorted(maps.Keys(s.seen)) {
		if p != root && within(p, root) && !visit(p, s.seen[p]) {
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
			if s.disk[dir].Kind != tree.Dir {
				s.set(dir, tree.Entry{Kind: tree.Dir, Mode: 0o755})
			}
		}
	}
	e := entryOf(text)
	for p := range s.disk {
		if p != file && within(p, file) && e.Kind != tree.Dir {
			s.set(p, tree.Entry{})
		}
	}
	s.set(file, e)
}

func (s *source) set(file string, e tree.Entry) {
	s.touched[file] = true
	if s.disk[file] = e; e.Kind == tree.None {
		delete(s.disk, file)
	}
}

// now is what is on the disk, seen or not.
func (s *source) now(file string) tree.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disk[file]
}

// look sees what is on the disk. What was undone since it was seen stays a change, since it has shown.
func (s *source) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for file := range s.touched {
		was, is := s.seen[file], s.disk[file]
		if was == is {
			continue
		}
		if s.seen[file] = is; is.Kind == tree.None {
			delete(s.seen, file)
		}
		if c, ok := s.changes[file]; ok {
			was = c.Was
		}
		if len(s.changes) == 0 {
			s.since = time.Now()
		}
		s.changes[file] = tree.Change{Path: file, Was: was, Is: is}
	}
	clear(s.touched)
}

// take looks, and is the batch of what has changed since the one before.
func (s *source) take() tree.Batch {
	s.look()
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
	if b := s.take(); len(b.Changes) != 0 {
		t.Errorf("undone before it was seen: %v", b.Changes)
	}
	s.put("/src/d/a", "2")
	s.look()
	s.put("/src/d/a", "1")
	if b := s.take(); len(b.Changes) != 1 {
		t.Errorf("undone after it was seen: %v", b.Changes)
	}
	s.put("/src/d", "file")
	if b := s.take(); len(b.Changes) != 2 || b.Changes[1].Is.Kind != tree.None {
		t.Errorf("a file for a directory: %v", b.Changes)
	}
}
