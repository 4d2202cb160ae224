package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// maxDepth bounds how many directories are open at once while a tree is removed.
const maxDepth = 200

// removeTree removes a file or a directory with all that is in it. It does not follow links and does not enter what is
// mounted in it: EBUSY.
func removeTree(at int, name string, depth int) error {
	there, err := lookAt(at, name)
	switch {
	case err != nil || there.mode == 0:
		return err
	case there.mounted:
		return unix.EBUSY
	case !there.is(unix.S_IFDIR):
		return unlessGone(unix.Unlinkat(at, name, 0))
	}
	if depth == maxDepth {
		return unix.ELOOP
	}
	dir, err := openWithin(at, name)
	if err != nil {
		return err
	}
	err = removeChildren(dir, depth+1)
	dir.Close()
	if err != nil {
		return err
	}
	return unlessGone(unix.Unlinkat(at, name, unix.AT_REMOVEDIR))
}

// openWithin opens a directory that is on the same mount.
func openWithin(at int, name string) (*os.File, error) {
	for {
		fd, err := unix.Openat2(at, name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
		})
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EXDEV):
			return nil, unix.EBUSY
		case err != nil:
			return nil, err
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

func removeChildren(dir *os.File, depth int) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeTree(int(dir.Fd()), name, depth); err != nil {
			return err
		}
	}
	return nil
}
