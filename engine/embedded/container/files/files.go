// Package files reads and writes files inside a container's root directory.
//
// Every path is resolved by the kernel relative to a descriptor of that directory (openat2 with RESOLVE_IN_ROOT):
// absolute symbolic links and ".." stay inside, whatever the container puts in the way while we look. No path of the
// host is ever put together from a container's names.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// Open opens the file itself for looking at it (O_PATH), following symbolic links inside root.
func Open(root *os.File, name string) (*os.File, error) { return open(root, name, unix.O_PATH, 0) }

func open(dir *os.File, name string, flags int, mode uint32) (*os.File, error) {
	// In a root, a path is the same with and without a leading slash.
	relative := strings.TrimLeft(name, "/")
	if relative == "" {
		relative = "."
	}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), relative, &unix.OpenHow{
			Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue // something was renamed while the kernel looked
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// place is a file by its parent directory and its name there; the name is never a way out.
type place struct {
	parent *os.File
	name   string // "." for the root itself
}

// locate opens the parent directory of name, following symbolic links on the way, but not name itself. A path that
// ends in a slash or a dot means what a link points to.
func locate(root *os.File, name string) (place, error) {
	clean := path.Clean("/" + name)
	if clean == "/" {
		dir, err := open(root, "/", unix.O_PATH|unix.O_DIRECTORY, 0)
		return place{dir, "."}, err
	}
	dir, err := open(root, path.Dir(clean), unix.O_PATH|unix.O_DIRECTORY, 0)
	return place{dir, path.Base(clean)}, err
}

// Stat describes the file. A symbolic link is described itself, with where it leads inside the root.
func Stat(root *os.File, name string) (container.PathStat, error) {
	p, err := locate(root, name)
	if err != nil {
		return container.PathStat{}, missing(name, err)
	}
	defer p.parent.Close()
	info, link, err := p.stat()
	if err != nil {
		return container.PathStat{}, missing(name, err)
	}
	stat := container.PathStat{Name: path.Base(path.Clean("/" + name)), Size: info.Size(), Mode: info.Mode(), Mtime: info.ModTime()}
	if link != "" {
		stat.LinkTarget = linkTarget(root, name, link)
	}
	return stat, nil
}

// stat describes the file without following it and reads where it leads, if it is a symbolic link.
func (p place) stat() (os.FileInfo, string, error) {
	fd, err := unix.Openat(int(p.parent.Fd()), p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	file := os.NewFile(uintptr(fd), p.name)
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return info, "", err
	}
	link, err := readlink(fd)
	return info, link, err
}

func readlink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// linkTarget is where the link leads in the end, as a path inside the root; the link's own text if it leads nowhere.
func linkTarget(root *os.File, name, link string) string {
	if !path.IsAbs(link) {
		link = path.Join(path.Dir(path.Clean("/"+name)), link)
	}
	target, err := Open(root, link)
	if err != nil {
		return path.Clean(link)
	}
	defer target.Close()
	end, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", target.Fd()))
	base, err2 := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", root.Fd()))
	if inside, ok := strings.CutPrefix(end, strings.TrimRight(base, "/")); ok && err == nil && err2 == nil && strings.HasPrefix(inside, "/") {
		return inside
	}
	return path.Clean(link)
}

// missing gives the error of a path that is not there its kind.
func missing(name string, err error) error {
	switch {
	case errors.As(err, new(*engine.Error)):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return engine.Errorf(engine.ErrNotFound, "could not find the file %s in the container", name)
	case errors.Is(err, unix.EROFS):
		return engine.Errorf(engine.ErrForbidden, "cannot write %s: the container's file system is read-only there", name)
	case errors.Is(err, unix.ENOSPC):
		return engine.Errorf(engine.ErrUnavailable, "cannot write %s: the disk is full", name)
	default:
		return fmt.Errorf("cannot access %s in the container: %w", name, err)
	}
}

// OpenText opens the file for reading; one that is not there, or is no regular file, reads as empty.
func OpenText(root *os.File, name string) io.ReadCloser {
	found, err := Open(root, name)
	if err != nil {
		return io.NopCloser(strings.NewReader(""))
	}
	defer found.Close()
	file, err := reopen(found, unix.O_RDONLY)
	if err != nil {
		return io.NopCloser(strings.NewReader(""))
	}
	return file
}
