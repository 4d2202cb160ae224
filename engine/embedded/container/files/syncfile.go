package files

import (
	"archive/tar"
	"cmp"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// staged is a new file that is not in its place yet.
type staged struct {
	*os.File
	named bool // it has the temporary name; else it has none
}

// file writes a file that has no name yet, gives it all that it is to have, and then its name: whoever reads sees the old
// file or the new one, and what is killed on the way leaves nothing, or at worst the temporary name.
func (s *syncer) file(p place, name string, header *tar.Header, content io.Reader) error {
	file, err := s.stage(p)
	if vanished(err) {
		if p, err = s.reopen(name); err == nil {
			file, err = s.stage(p)
		}
	}
	if err != nil {
		return err
	}
	if err = s.fill(file.File, header, content); err == nil {
		p, err = s.settle(p, name, header, &file)
	}
	if file.named {
		s.cleanUp(p)
	}
	return cmp.Or(err, file.Close()) // a file system of the network may say only now that it is full
}

// settle gives the file its name, in the directory that is there by now. It returns where it looked last.
func (s *syncer) settle(p place, name string, header *tar.Header, file *staged) (place, error) {
	err := s.place(p, header, file)
	if vanished(err) {
		if p, err = s.reopen(name); err == nil {
			err = s.place(p, header, file)
		}
	}
	return p, err
}

// stage opens a new file in the directory: one without a name where the file system has such, else one of the temporary
// name.
func (s *syncer) stage(p place) (staged, error) {
	if !s.onlyNamed {
		fd, err := unix.Openat(int(p.parent.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return staged{os.NewFile(uintptr(fd), p.name), false}, nil
		}
		if s.onlyNamed = errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR); !s.onlyNamed {
			return staged{}, err
		}
	}
	var file *os.File
	err := s.temporary(p, func() (err error) {
		file, err = openChild(place{p.parent, s.opts.Temporary}, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		return err
	})
	return staged{file, err == nil}, err
}

// reservedAhead is how much disk space a file may get before its content is there.
const reservedAhead = 1 << 20

// fill writes the content and then what belongs to it.
func (s *syncer) fill(file *os.File, header *tar.Header, content io.Reader) error {
	// A file whose space is still to be found when it takes the place of another one, ext4 writes to the disk at once: one
	// after the other, for thousands of files. Where space cannot be had ahead, it is slower.
	if header.Size > 0 && header.Size <= reservedAhead {
		_ = unix.Fallocate(int(file.Fd()), 0, 0, header.Size)
	}
	if _, err := io.CopyBuffer(writerOnly{file}, readerOnly{content}, s.buffer); err != nil {
		return err
	}
	return s.dress(file, header)
}

// dress sets owner, mode and time, in the order in which one does not undo the other.
func (s *syncer) dress(file *os.File, header *tar.Header) error {
	fd := int(file.Fd())
	uid, gid := s.owner(header)
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(header.Mode&0o7777)); err != nil {
		return err
	}
	stamp := timespec(header.ModTime)
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{stamp, stamp}, unix.AT_EMPTY_PATH)
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

// place gives the file its name.
func (s *syncer) place(p place, header *tar.Header, file *staged) error {
	there, err := p.look()
	switch {
	case err != nil:
		return err
	case there.mounted:
		return s.inPlace(p, header, file.File)
	case there.mode == 0 && !file.named:
		if err := linkTo(file.File, p.parent, p.name); !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	if !file.named {
		if err := s.temporary(p, func() error { return linkTo(file.File, p.parent, s.opts.Temporary) }); err != nil {
			return err
		}
	}
	err = s.publish(p, there)
	file.named = err != nil
	return err
}

// linkTo gives an open file a name.
func linkTo(file, dir *os.File, name string) error {
	return unix.Linkat(int(file.Fd()), "", int(dir.Fd()), name, unix.AT_EMPTY_PATH)
}

// inPlace writes what was staged into a file that cannot be replaced, since it is a mount point. Its readers may see a part.
func (s *syncer) inPlace(p place, header *tar.Header, from *os.File) error {
	target, err := openRegular(p, unix.O_WRONLY)
	if errors.Is(err, errIrregular) {
		return unix.EBUSY
	}
	if err != nil {
		return err
	}
	err = target.Truncate(0)
	if err == nil {
		_, err = io.Copy(target, io.NewSectionReader(from, 0, header.Size))
	}
	if err == nil {
		err = s.dress(target, header)
	}
	return cmp.Or(err, target.Close())
}
