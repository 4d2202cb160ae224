package launch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir is an open directory of locks. Files are reached through the descriptor only, so that nobody can put another
// directory in its place meanwhile.
type lockDir struct {
	file   *os.File
	shared bool
}

// openLockDir makes the directory if need be. A shared one is like /tmp; root takes it over from whoever made it first, because
// the owner of a directory can remove what others have in it.
func openLockDir(at Locks) (*lockDir, error) {
	if err := makeLockDir(at); err != nil {
		return nil, fmt.Errorf("cannot make the directory of locks: %w", err)
	}
	f, err := os.OpenFile(at.Dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory of locks: %w", err)
	}
	if at.Shared {
		err = shareLockDir(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lockDir{f, at.Shared}, nil
}

func makeLockDir(at Locks) error {
	if !at.Shared {
		return os.MkdirAll(at.Dir, 0o700)
	}
	if err := os.Mkdir(at.Dir, 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

const openToAll = unix.S_ISVTX | 0o777

// shareLockDir gives the directory the mode and the owner that it is to have, as far as that is ours to do.
func shareLockDir(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("cannot look at the directory of locks: %w", err)
	}
	if os.Getuid() == 0 && st.Uid != 0 {
		if err := f.Chown(0, 0); err != nil {
			return fmt.Errorf("cannot take over the directory of locks: %w", err)
		}
		st.Uid = 0
	}
	if st.Mode&0o7777 == openToAll {
		return nil
	}
	if int(st.Uid) != os.Getuid() {
		return fmt.Errorf("the directory of locks %s has mode %o, not %o: %w", f.Name(), st.Mode&0o7777, openToAll, os.ErrPermission)
	}
	if err := f.Chmod(os.ModeSticky | 0o777); err != nil {
		return fmt.Errorf("cannot open the directory of locks to others: %w", err)
	}
	return nil
}

func (d *lockDir) close() error { return d.file.Close() }

// maxLockRaces bounds how often a file is opened that is gone, or there, after all.
const maxLockRaces = 100

// open opens the file of that name, which it makes if need be. The kernel refuses O_CREAT for somebody else's file where
// everybody may write (fs.protected_regular), so that making and opening are two steps.
func (d *lockDir) open(name string) (*os.File, error) {
	for range maxLockRaces {
		fd, err := unix.Openat(int(d.file.Fd()), name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			return d.checked(os.NewFile(uintptr(fd), filepath.Join(d.file.Name(), name)))
		}
		if errors.Is(err, unix.ENOENT) {
			err = d.make(name)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("cannot open the lock %s: %w", filepath.Join(d.file.Name(), name), err)
		}
	}
	return nil, fmt.Errorf("cannot open the lock %s: others remove it again and again", filepath.Join(d.file.Name(), name))
}

// checked refuses what is not a file of locks: a device or a pipe, or a file that has another name elsewhere, whose content
// would be lost.
func (d *lockDir) checked(f *os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot look at the lock: %w", err), f.Close())
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 {
		return nil, errors.Join(fmt.Errorf("%s is no lock: somebody has put something else there", f.Name()), f.Close())
	}
	return f, nil
}

// has says whether the file has that name. That it has any name is not enough: where all may write, others can give it one more.
func (d *lockDir) has(name string, f *os.File) (bool, error) {
	var there, st unix.Stat_t
	err := unix.Fstatat(int(d.file.Fd()), name, &there, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &st)
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at the lock: %w", err)
	}
	return there.Dev == st.Dev && there.Ino == st.Ino, nil
}

// make makes the file. One that is there meanwhile is no error.
func (d *lockDir) make(name string) error {
	create := d.create
	if d.shared {
		create = d.createForAll
	}
	err := create(name)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func (d *lockDir) create(name string) error {
	fd, err := unix.Openat(int(d.file.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// createForAll puts the file there when it has its mode, which the umask has no say in: nobody finds it closed.
func (d *lockDir) createForAll(name string) error {
	dir, temporary := int(d.file.Fd()), "."+name+"."+rand.Text()
	if err := d.create(temporary); err != nil {
		return err
	}
	err := unix.Fchmodat(dir, temporary, 0o666, 0)
	if err == nil {
		err = unix.Renameat2(dir, temporary, dir, name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		d.remove(temporary)
	}
	return err
}

// remove removes the file, if that is permitted: what is left behind disturbs nobody.
func (d *lockDir) remove(name string) { _ = unix.Unlinkat(int(d.file.Fd()), name, 0) }
