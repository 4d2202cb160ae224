package volume

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// maxLinks bounds how many symbolic links are followed on the way to the image's directory, as the kernel does.
const maxLinks = 40

// merged is a directory of an overlay: the directories of that name in the layers, uppermost first.
type merged []*os.File

func (d merged) close() {
	for _, f := range d {
		_ = f.Close() // read only: nothing can be lost
	}
}

// node is what a name means in a merged directory.
type node struct {
	parent *os.File // the directory of the layer that has it
	name   string
	stat   unix.Stat_t
	dir    merged // if it is a directory; the caller closes it
}

// openLayers opens the root of an overlay.
func openLayers(lowers []string) (root merged, err error) {
	for _, l := range lowers {
		f, err := openDir(unix.AT_FDCWD, l)
		if err != nil {
			root.close()
			return nil, err
		}
		root = append(root, f)
	}
	return root, nil
}

// lookup finds a name as the kernel's overlayfs does: the uppermost layer that has it decides, a whiteout hides what is
// below, directories are merged until one of them is opaque. It is nil if there is nothing.
func (d merged) lookup(name string) (found *node, err error) {
	defer func() {
		if err != nil && found != nil {
			found.dir.close()
		}
	}()
	for _, layer := range d {
		var st unix.Stat_t
		err := unix.Fstatat(int(layer.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return found, &os.PathError{Op: "stat", Path: path.Join(layer.Name(), name), Err: err}
		}
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if isWhiteout(&st) || found != nil && !isDir {
			return found, nil
		}
		if found == nil {
			found = &node{parent: layer, name: name, stat: st}
		}
		if !isDir {
			return found, nil
		}
		sub, err := openDir(int(layer.Fd()), name)
		if err != nil {
			return found, err
		}
		found.dir = append(found.dir, sub)
		opaque, err := isOpaque(sub)
		if opaque || err != nil {
			return found, err
		}
	}
	return found, nil
}

// names lists the directory in order, without what whiteouts hide.
func (d merged) names() ([]string, error) {
	var all []string
	for _, layer := range d {
		if _, err := layer.Seek(0, 0); err != nil {
			return nil, err
		}
		names, err := layer.Readdirnames(-1)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// isWhiteout recognises the mark that deletes a file of a lower layer: a character device 0:0.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// isOpaque says whether lower layers do not show through. Features of overlayfs that point to other files are refused,
// because nothing in an image makes them.
func isOpaque(dir *os.File) (bool, error) {
	for _, prefix := range []string{"trusted.overlay.", "user.overlay."} {
		var b [1]byte
		if n, err := unix.Fgetxattr(int(dir.Fd()), prefix+"redirect", nil); err == nil && n > 0 {
			return false, engine.Errorf(engine.ErrUnsupported, "cannot read the layer at %s: it has a redirected directory", dir.Name())
		}
		if n, err := unix.Fgetxattr(int(dir.Fd()), prefix+"opaque", b[:]); err == nil && n == 1 && b[0] == 'y' {
			return true, nil
		}
	}
	return false, nil
}

// resolve finds the directory at p, following symbolic links inside the root only. It is nil if p is none.
func (root merged) resolve(p string) (merged, error) {
	stack := []merged{root}
	defer func() {
		for _, d := range stack[1:] {
			d.close()
		}
	}()
	links := 0
	for rest := p; rest != ""; {
		name, after, _ := strings.Cut(rest, "/")
		rest = after
		switch name {
		case "", ".":
			continue
		case "..":
			if len(stack) > 1 {
				stack[len(stack)-1].close()
				stack = stack[:len(stack)-1]
			}
			continue
		}
		n, err := stack[len(stack)-1].lookup(name)
		if err != nil || n == nil {
			return nil, err
		}
		if n.dir != nil {
			stack = append(stack, n.dir)
			continue
		}
		if n.stat.Mode&unix.S_IFMT != unix.S_IFLNK {
			return nil, nil
		}
		if links++; links > maxLinks {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot find %s in the image: too many symbolic links", p)
		}
		target, err := readLink(n)
		if err != nil {
			return nil, err
		}
		if path.IsAbs(target) {
			for _, d := range stack[1:] {
				d.close()
			}
			stack = stack[:1]
		}
		rest = target + "/" + rest
	}
	found := stack[len(stack)-1]
	if len(stack) > 1 {
		stack = stack[:len(stack)-1] // the caller closes it
		return found, nil
	}
	return root.clone()
}

// clone opens the same directories again.
func (d merged) clone() (out merged, err error) {
	for _, f := range d {
		c, err := openDir(int(f.Fd()), ".")
		if err != nil {
			out.close()
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func readLink(n *node) (string, error) {
	buf := make([]byte, unix.PathMax)
	l, err := unix.Readlinkat(int(n.parent.Fd()), n.name, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path.Join(n.parent.Name(), n.name), Err: err}
	}
	return string(buf[:l]), nil
}
