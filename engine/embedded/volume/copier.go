package volume

import (
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// copier copies a merged directory into a volume. A container may write to the volume at the same time: every step
// goes from the descriptor of a directory to one name in it and follows no link.
type copier struct {
	root   *os.File
	linked map[inode]string // where the copy of a file with several names is, below root
}

// directory copies what is in src into dst, and then src's attributes: its time would change before.
func (c *copier) directory(dst *os.File, src merged, at string) error {
	names, err := src.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := src.lookup(name)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		err = c.node(dst, n, path.Join(at, name))
		n.dir.close()
		if err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(src[0].Fd()), &st); err != nil {
		return err
	}
	return copyAttributes(dst, src[0], &st)
}

func (c *copier) node(dst *os.File, n *node, at string) error {
	var err error
	switch kind := n.stat.Mode & unix.S_IFMT; kind {
	case unix.S_IFDIR:
		err = c.subdirectory(dst, n, at)
	case unix.S_IFREG:
		err = c.regular(dst, n, at)
	case unix.S_IFLNK:
		err = symlink(dst, n)
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		err = special(dst, n)
	default: // a socket is nothing without its process
	}
	if err != nil {
		return &os.PathError{Op: "copy", Path: at, Err: err}
	}
	return nil
}

func (c *copier) subdirectory(dst *os.File, n *node, at string) (err error) {
	if err := unix.Mkdirat(int(dst.Fd()), n.name, 0o700); err != nil {
		return err
	}
	sub, err := openBeneath(dst, n.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	return c.directory(sub, n.dir, at)
}

func (c *copier) regular(dst *os.File, n *node, at string) (err error) {
	if n.stat.Nlink > 1 {
		if first, ok := c.linked[inodeOf(&n.stat)]; ok {
			return c.link(dst, n.name, first)
		}
		c.linked[inodeOf(&n.stat)] = at
	}
	in, err := openAt(n.parent, n.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if hasXattr(in, "trusted.overlay.metacopy") || hasXattr(in, "user.overlay.metacopy") {
		return errors.New("the layer has its attributes only")
	}
	out, err := openAt(dst, n.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil { // in the kernel, where it can
		return err
	}
	return copyAttributes(out, in, &n.stat)
}

// link gives a file that was copied already a further name.
func (c *copier) link(dst *os.File, name, first string) error {
	fd, err := unix.Openat2(int(c.root.Fd()), first, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return err
	}
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), int(dst.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	return errors.Join(err, unix.Close(fd))
}

func symlink(dst *os.File, n *node) error {
	target, err := readLink(n)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(target, int(dst.Fd()), n.name); err != nil {
		return err
	}
	return ownAndDate(dst, n)
}

func special(dst *os.File, n *node) error {
	if err := unix.Mknodat(int(dst.Fd()), n.name, n.stat.Mode, int(n.stat.Rdev)); err != nil {
		return err
	}
	if err := ownAndDate(dst, n); err != nil {
		return err
	}
	// The mask of the process has cut the mode, and there is no descriptor to correct it by: a node opens a device.
	fd, err := unix.Openat(int(dst.Fd()), n.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Fchmodat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), n.stat.Mode&0o7777, 0)
	return errors.Join(err, unix.Close(fd))
}

// ownAndDate sets owner and time of what cannot be opened.
func ownAndDate(dst *os.File, n *node) error {
	if err := unix.Fchownat(int(dst.Fd()), n.name, int(n.stat.Uid), int(n.stat.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(dst.Fd()), n.name, []unix.Timespec{n.stat.Atim, n.stat.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// copyAttributes sets owner, then mode and extended attributes, which a change of the owner would take away, then times.
func copyAttributes(dst, src *os.File, st *unix.Stat_t) error {
	if err := unix.Fchown(int(dst.Fd()), int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(dst.Fd()), st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(dst, src); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(dst.Fd())), []unix.Timespec{st.Atim, st.Mtim}, 0)
}

// copyXattrs copies extended attributes, apart from overlayfs's own.
func copyXattrs(dst, src *os.File) error {
	size, err := unix.Flistxattr(int(src.Fd()), nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(int(src.Fd()), list); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:size]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		if err := copyXattr(dst, src, name); err != nil {
			return err
		}
	}
	return nil
}

func copyXattr(dst, src *os.File, name string) error {
	size, err := unix.Fgetxattr(int(src.Fd()), name, nil)
	if err != nil {
		return err
	}
	value := make([]byte, size)
	if size, err = unix.Fgetxattr(int(src.Fd()), name, value); err != nil {
		return err
	}
	err = unix.Fsetxattr(int(dst.Fd()), name, value[:size], 0)
	if errors.Is(err, unix.ENOTSUP) { // the volume's file system has no such attributes
		return nil
	}
	return err
}

func hasXattr(f *os.File, name string) bool {
	_, err := unix.Fgetxattr(int(f.Fd()), name, nil)
	return err == nil
}

func openAt(dir *os.File, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path.Join(dir.Name(), name)), nil
}
