package memory

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxLinks ends the resolution of symbolic links that go in circles.
const maxLinks = 40

// mountPoint is a tree that appears in a container at a path.
type mountPoint struct {
	at       string // absolute and clean
	tree     tree
	readOnly bool
}

// vfs is what a container sees: its own tree and what is mounted over it. The first mount is the root.
type vfs struct{ mounts []mountPoint }

// find returns the mount that a resolved path is on and the path's name in it.
func (v *vfs) find(name string) (mountPoint, string) {
	best := v.mounts[0]
	for _, m := range v.mounts[1:] {
		if (name == m.at || strings.HasPrefix(name, m.at+"/")) && len(m.at) > len(strings.TrimSuffix(best.at, "/")) {
			best = m
		}
	}
	return best, strings.TrimPrefix(strings.TrimPrefix(name, best.at), "/")
}

func (v *vfs) lookup(resolved string) (node, bool) {
	m, name := v.find(resolved)
	return m.tree.get(name)
}

// resolve makes a path absolute and follows symbolic links, all of them inside the container's root; the last one only
// if asked to. What is not there resolves to where it would be.
func (v *vfs) resolve(name string, followLast bool) (string, error) {
	todo := strings.Split(path.Clean("/"+name), "/")[1:]
	at, links := "/", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		if part == "" {
			continue
		}
		next := path.Join(at, part) // ".." never leads above "/"
		n, ok := v.lookup(next)
		if !ok || n.mode&fs.ModeSymlink == 0 || len(todo) == 0 && !followLast {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: fs.ErrInvalid}
		}
		if path.IsAbs(n.link) {
			at = "/"
		}
		todo = append(strings.Split(n.link, "/"), todo...)
	}
	return at, nil
}

// stat describes a file, following links.
func (v *vfs) stat(name string) (node, string, error) { return v.statLink(name, true) }

func (v *vfs) statLink(name string, follow bool) (node, string, error) {
	resolved, err := v.resolve(name, follow)
	if err != nil {
		return node{}, "", err
	}
	n, ok := v.lookup(resolved)
	if !ok {
		return node{}, resolved, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return n, resolved, nil
}

// put makes or replaces a file. Its directory must be there.
func (v *vfs) put(name string, n node) error {
	resolved, err := v.resolve(name, n.mode&fs.ModeSymlink == 0)
	if err != nil {
		return err
	}
	if dir, ok := v.lookup(path.Dir(resolved)); !ok || !dir.mode.IsDir() {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	m, at := v.find(resolved)
	if m.readOnly {
		return &fs.PathError{Op: "write", Path: name, Err: fs.ErrPermission}
	}
	return m.tree.put(at, n)
}

// mkdirAll makes the directory and those that it is in.
func (v *vfs) mkdirAll(name string) error {
	resolved, err := v.resolve(name, true)
	if err != nil {
		return err
	}
	if n, ok := v.lookup(resolved); ok {
		if n.mode.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	if err := v.mkdirAll(path.Dir(resolved)); err != nil {
		return err
	}
	return v.put(resolved, directory())
}

func (v *vfs) remove(name string) error {
	_, resolved, err := v.statLink(name, false)
	if err != nil {
		return err
	}
	m, at := v.find(resolved)
	if m.readOnly {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrPermission}
	}
	return m.tree.remove(at)
}

// children lists a directory, with what is mounted in it.
func (v *vfs) children(name string) ([]string, error) {
	n, resolved, err := v.stat(name)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrInvalid}
	}
	m, at := v.find(resolved)
	names := slices.Clone(m.tree.children(at))
	for _, m := range v.mounts[1:] {
		if path.Dir(m.at) == resolved && !slices.Contains(names, path.Base(m.at)) {
			names = append(names, path.Base(m.at))
		}
	}
	slices.Sort(names)
	return names, nil
}
