package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// Remove deletes the volume with what is in it. The caller knows that no container uses it. The host directory of a
// bind stays. ErrNotFound: there is no such volume. ErrConflict: something is mounted in it.
func (m *Manager) Remove(name string) error {
	return m.with(name, func(e *entry) error {
		if err := m.release(e.rec); err != nil {
			return err
		}
		if err := m.checkNoMounts(name); err != nil {
			return err
		}
		if err := m.discard(name); err != nil {
			return fmt.Errorf("cannot remove volume %s: %w", name, err)
		}
		m.set(e, nil)
		if err := removeTree(m.root, removedMark+name); err != nil {
			return fmt.Errorf("cannot delete the files of volume %s: %w", name, err)
		}
		return nil
	})
}

// checkNoMounts refuses to delete what is not the volume's own, before anything has been touched.
func (m *Manager) checkNoMounts(name string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(m.root, name)))
	if err != nil {
		return fmt.Errorf("cannot remove volume %s: %w", name, err)
	}
	if len(mounts) > 0 {
		return engine.Errorf(engine.ErrConflict, "cannot remove volume %s: something is mounted at %s", name, mounts[0].Mountpoint)
	}
	return nil
}

// discard renames the directory and deletes the record, in an order that Open can finish.
func (m *Manager) discard(name string) error {
	from, to := filepath.Join(m.root, name), filepath.Join(m.root, removedMark+name)
	if err := removeTree(m.root, removedMark+name); err != nil { // of an earlier attempt that failed
		return err
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.store.Delete(name); err != nil {
		return errors.Join(err, os.Rename(to, from))
	}
	return nil
}

// removeTree deletes dir/name with all that is below it. It follows no symbolic link and enters no mount. What is not
// there is no error.
func removeTree(dir, name string) error {
	parent, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	return removeAt(parent, name)
}

// removeAt deletes name in parent, which is a directory that was reached without links.
func removeAt(parent *os.File, name string) error {
	err := unix.Unlinkat(int(parent.Fd()), name, 0)
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM):
		return &os.PathError{Op: "unlink", Path: filepath.Join(parent.Name(), name), Err: err}
	}
	child, err := openBeneath(parent, name)
	if err != nil {
		return err
	}
	err = errors.Join(removeChildren(child), child.Close())
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "rmdir", Path: filepath.Join(parent.Name(), name), Err: err}
	}
	return nil
}

// removeChildren deletes all that is in the directory.
func removeChildren(dir *os.File) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAt(dir, n); err != nil {
			return err
		}
	}
	return nil
}

// openBeneath opens the directory name in parent if it is one, on the same mount, and no link.
func openBeneath(parent *os.File, name string) (*os.File, error) {
	path := filepath.Join(parent.Name(), name)
	fd, err := unix.Openat2(int(parent.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if errors.Is(err, unix.EXDEV) {
		return nil, engine.Errorf(engine.ErrConflict, "something is mounted at %s", path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openDir opens a directory below one that is trusted. name may be a path only if all of it is.
func openDir(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), strings.TrimSuffix(name, "/")), nil
}
