package files

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// file writes a file that has no name yet, gives it all that it is to have, and moves it to its place: whoever reads sees
// the old file or the new one, and what is killed on the way leaves nothing.
func (s *syncer) file(p place, name string, header *tar.Header, content io.Reader) error {
	file, named, err := s.stage(p)
	if errors.Is(err, unix.ENOENT) { // the directory was removed since it was opened
		s.dirs.forget()
		if p, err = s.dirs.make(name, s.own); err == nil {
			file, named, err = s.stage(p)
		}
	}
	if err != nil {
		return err
	}
	defer file.Close()
	err = s.fill(file, header, content)
	var there found
	if err == nil {
		there, err = p.look()
	}
	if there.mounted {
		err = cmp.Or(err, s.inPlace(p, header, file))
		if named {
			_ = s.cleanUp(p, unix.EBUSY)
		}
		return err
	}
	if err == nil && !named {
		err = s.temporary(p, func() error {
			return unix.Linkat(unix.AT_FDCWD, procPath(file), int(p.parent.Fd()), s.opts.Temporary, unix.AT_SYMLINK_FOLLOW)
		})
		named = err == nil
	}
	if err == nil {
		err = s.publish(p, name, there)
	}
	if named {
		return s.cleanUp(p, err)
	}
	return err
}

func procPath(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }

// stage opens a new file in the directory: one without a name where the file system has such, else one of the temporary
// name.
func (s *syncer) stage(p place) (file *os.File, named bool, err error) {
	at := int(p.parent.Fd())
	fd, err := unix.Openat(at, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		named = true
		err = s.temporary(p, func() (err error) {
			fd, err = unix.Openat(at, s.opts.Temporary, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
			return err
		})
	}
	if err != nil {
		return nil, false, err
	}
	return os.NewFile(uintptr(fd), p.name), named, nil
}

// fill writes the content and sets owner, mode and time, in the order in which one does not undo the other.
func (s *syncer) fill(file *os.File, header *tar.Header, content io.Reader) error {
	if _, err := io.CopyBuffer(writerOnly{file}, readerOnly{content}, s.buffer); err != nil {
		return err
	}
	return s.dress(file, header)
}

func (s *syncer) dress(file *os.File, header *tar.Header) error {
	uid, gid := s.owner(header)
	if err := unix.Fchown(int(file.Fd()), uid, gid); err != nil {
		return err
	}
	if err := unix.Fchmod(int(file.Fd()), uint32(header.Mode&0o7777)); err != nil {
		return err
	}
	stamp := timespec(header.ModTime)
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(file), []unix.Timespec{stamp, stamp}, 0)
}

// writerOnly and readerOnly hide shortcuts that would leave the buffer aside.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ from io.Reader }
)

// Read marks errors of the archive: nothing after it can be read.
func (r readerOnly) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && err != io.EOF {
		err = broken{brokenArchive(err)}
	}
	return n, err
}

// inPlace writes what was staged into a file that cannot be replaced, since it is a mount point. Its readers may see a part.
func (s *syncer) inPlace(p place, header *tar.Header, staged *os.File) error {
	target, err := openChild(p, unix.O_WRONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer target.Close()
	if info, err := target.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(unix.EBUSY, err)
	}
	if err := target.Truncate(0); err != nil {
		return err
	}
	if _, err := io.Copy(target, io.NewSectionReader(staged, 0, header.Size)); err != nil {
		return err
	}
	return s.dress(target, header)
}
