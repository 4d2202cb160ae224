package memory

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// node is a file: regular, directory or symbolic link, as its mode says.
type node struct {
	mode     fs.FileMode
	uid, gid int
	data     []byte // of a regular file; never changed in place
	link     string // of a symbolic link
	modified time.Time
}

func directory() node { return node{mode: fs.ModeDir | 0o755} }

// tree is a file system. Names are relative, clean and slash-separated; "" is its root, which is always there.
type tree interface {
	get(name string) (node, bool)
	put(name string, n node) error
	chmod(name string, mode fs.FileMode) error
	remove(name string) error      // with everything below
	children(name string) []string // base names, sorted
}

// memTree is a tree in memory.
type memTree struct {
	mu    sync.RWMutex
	nodes map[string]node
}

func newTree() *memTree { return &memTree{nodes: map[string]node{"": directory()}} }

func (t *memTree) clone() *memTree {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return &memTree{nodes: maps.Clone(t.nodes)}
}

func (t *memTree) get(name string) (node, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.nodes[name]
	return n, ok
}

func (t *memTree) put(name string, n node) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.modified.IsZero() {
		n.modified = time.Now()
	}
	for dir := parent(name); dir != name; dir = parent(dir) {
		if _, ok := t.nodes[dir]; !ok {
			t.nodes[dir] = directory()
		}
		if dir == "" {
			break
		}
	}
	t.nodes[name] = n
	return nil
}

func (t *memTree) chmod(name string, mode fs.FileMode) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.nodes[name]; ok {
		n.mode = mode
		t.nodes[name] = n
	}
	return nil
}

func (t *memTree) remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.nodes, func(other string, _ node) bool {
		return other == name || strings.HasPrefix(other, name+"/")
	})
	return nil
}

func (t *memTree) children(name string) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var names []string
	for other := range t.nodes {
		if other != "" && parent(other) == name {
			names = append(names, path.Base(other))
		}
	}
	slices.Sort(names)
	return names
}

// parent is the name of the directory that a name is in.
func parent(name string) string {
	dir := path.Dir(name)
	if dir == "." {
		return ""
	}
	return dir
}

// hostTree is a directory of the host, for bind mounts. Nothing outside of it is reached.
type hostTree struct{ root *os.Root }

func dot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func (t hostTree) get(name string) (node, bool) {
	info, err := t.root.Lstat(dot(name))
	if err != nil {
		return node{}, false
	}
	n := node{mode: info.Mode(), modified: info.ModTime()}
	switch {
	case info.Mode().IsRegular():
		n.data, err = t.root.ReadFile(name)
	case info.Mode()&fs.ModeSymlink != 0:
		n.link, err = t.root.Readlink(name)
	}
	return n, err == nil
}

func (t hostTree) put(name string, n node) error {
	switch {
	case n.mode.IsDir():
		return t.root.MkdirAll(dot(name), n.mode.Perm())
	case n.mode&fs.ModeSymlink != 0:
		return t.root.Symlink(n.link, name)
	}
	if err := t.root.WriteFile(name, n.data, n.mode.Perm()); err != nil || n.modified.IsZero() {
		return err
	}
	return t.root.Chtimes(name, n.modified, n.modified)
}

func (t hostTree) chmod(name string, mode fs.FileMode) error { return t.root.Chmod(dot(name), mode) }

func (t hostTree) remove(name string) error { return t.root.RemoveAll(name) }

func (t hostTree) children(name string) []string {
	dir, err := t.root.Open(dot(name))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	slices.Sort(names)
	return names
}
