package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

type unixStat = syscall.Stat_t

// UnpackOptions say how an archive is unpacked.
type UnpackOptions struct {
	// ReplaceKinds allows a file to replace a directory and the other way round.
	ReplaceKinds bool

	// Owner, if not nil, owns everything that is unpacked. Otherwise the archive says who does.
	Owner *Owner
}

// Owner is a user and a group by number.
type Owner struct{ UID, GID int }

// Unpack unpacks a plain tar in the existing directory name.
func Unpack(root *os.File, name string, content io.Reader, opts UnpackOptions) error {
	dir, err := open(root, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return engine.Errorf(engine.ErrInvalid, "cannot copy to %s: it is not a directory", name)
	}
	if err != nil {
		return missing(name, err)
	}
	defer dir.Close()
	u := unpacker{root: root, base: path.Clean("/" + name), opts: opts}
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return u.finishDirs()
		}
		if err != nil {
			return brokenArchive(err)
		}
		if err := u.entry(header, archive); err != nil {
			return err
		}
	}
}

type unpacker struct {
	root *os.File
	base string // directory in the root that is unpacked into
	opts UnpackOptions
	dirs []dirTimes // set last: adding files changes them
}

type dirTimes struct {
	name string
	time time.Time
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	if name == ".." || strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/..") {
		return engine.Errorf(engine.ErrInvalid, "cannot unpack %q: it leads out of the directory", header.Name)
	}
	target := path.Join(u.base, name)
	p, err := u.parent(target)
	if err != nil {
		return missing(target, err)
	}
	defer p.parent.Close()
	if err := u.make(p, target, header, content); err != nil {
		return missing(target, err)
	}
	return nil
}

// parent opens the directory of target and makes it if the archive did not mention it.
func (u *unpacker) parent(target string) (place, error) {
	p, err := locate(u.root, target)
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	above, err := u.parent(path.Dir(target))
	if err != nil {
		return place{}, err
	}
	defer above.parent.Close()
	if err := unix.Mkdirat(int(above.parent.Fd()), above.name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return place{}, err
	}
	return locate(u.root, target)
}

// make makes one file. What is there already gives way, except that a directory stays for a directory.
func (u *unpacker) make(p place, target string, header *tar.Header, content io.Reader) error {
	isDir := header.Typeflag == tar.TypeDir
	if p.name != "." {
		if err := u.clear(p, target, isDir); err != nil {
			return err
		}
	}
	dir, mode := int(p.parent.Fd()), uint32(header.FileInfo().Mode().Perm())
	switch header.Typeflag {
	case tar.TypeDir:
		if err := unix.Mkdirat(dir, p.name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		u.dirs = append(u.dirs, dirTimes{target, header.ModTime})
	case tar.TypeReg:
		if err := writeFile(p, mode, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := unix.Symlinkat(header.Linkname, dir, p.name); err != nil {
			return err
		}
	case tar.TypeLink:
		return u.link(p, header)
	case tar.TypeFifo:
		if err := unix.Mknodat(dir, p.name, unix.S_IFIFO|mode, 0); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock:
		return engine.Errorf(engine.ErrInvalid, "cannot unpack %s: devices cannot be copied into a container", target)
	default:
		return engine.Errorf(engine.ErrInvalid, "cannot unpack %s: unknown type %q", target, header.Typeflag)
	}
	return u.attributes(p, header)
}

// clear removes what is in the way.
func (u *unpacker) clear(p place, target string, forDir bool) error {
	there, err := p.look()
	isDir := there.is(unix.S_IFDIR)
	switch {
	case err != nil || there.mode == 0 || isDir && forDir:
		return err
	case isDir != forDir && !u.opts.ReplaceKinds:
		return engine.Errorf(engine.ErrInvalid, "cannot overwrite %s: a directory and what is none do not replace each other", target)
	}
	err = removeTree(int(p.parent.Fd()), p.name, 0)
	if errors.Is(err, unix.EBUSY) {
		return engine.Errorf(engine.ErrConflict, "cannot overwrite %s: it is a mount point, or has one in it", target)
	}
	return err
}

func writeFile(p place, mode uint32, content io.Reader) error {
	fd, err := unix.Openat(int(p.parent.Fd()), p.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), p.name)
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// link makes a further name of a file that was unpacked before.
func (u *unpacker) link(p place, header *tar.Header) error {
	from, err := locate(u.root, path.Join(u.base, path.Clean("/"+header.Linkname)))
	if err != nil {
		return err
	}
	defer from.parent.Close()
	return unix.Linkat(int(from.parent.Fd()), from.name, int(p.parent.Fd()), p.name, 0)
}

// attributes sets owner, mode and time. The owner comes first: changing it takes the set-ID bits away.
func (u *unpacker) attributes(p place, header *tar.Header) error {
	dir, uid, gid := int(p.parent.Fd()), header.Uid, header.Gid
	if o := u.opts.Owner; o != nil {
		uid, gid = o.UID, o.GID
	}
	if err := unix.Fchownat(dir, p.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if header.Typeflag == tar.TypeSymlink {
		return setTime(dir, p.name, header.ModTime)
	}
	if err := chmod(p, uint32(header.Mode&0o7777)); err != nil {
		return err
	}
	if header.Typeflag == tar.TypeReg {
		if err := setCapability(p, header); err != nil {
			return err
		}
	}
	return setTime(dir, p.name, header.ModTime)
}

// chmod changes the mode of what is certainly no symbolic link, even if somebody puts one there.
func chmod(p place, mode uint32) error {
	fd, err := unix.Openat(int(p.parent.Fd()), p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
}

func setCapability(p place, header *tar.Header) error {
	value, ok := header.PAXRecords["SCHILY.xattr."+capabilityXattr]
	if !ok {
		return nil
	}
	file, err := openRegular(p, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Fsetxattr(int(file.Fd()), capabilityXattr, []byte(value), 0)
}

func setTime(dir int, name string, at time.Time) error {
	stamp := timespec(at)
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
}

// timespec is a time as the kernel takes it; none is before 1970.
func timespec(at time.Time) unix.Timespec {
	if at.Before(time.Unix(0, 0)) {
		at = time.Unix(0, 0)
	}
	return unix.NsecToTimespec(at.UnixNano())
}

// brokenArchive is the error of an archive that cannot be read.
func brokenArchive(err error) error {
	if errors.As(err, new(*engine.Error)) {
		return err
	}
	return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
}

func (u *unpacker) finishDirs() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		p, err := locate(u.root, u.dirs[i].name)
		if err != nil {
			return missing(u.dirs[i].name, err)
		}
		err = setTime(int(p.parent.Fd()), p.name, u.dirs[i].time)
		p.parent.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return missing(u.dirs[i].name, err)
		}
	}
	return nil
}
