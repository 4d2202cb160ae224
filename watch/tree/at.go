package tree

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// open opens the directory, without following symbolic links below the root that it belongs to.
func (d *dir) open(flags int) (int, error) {
	flags |= unix.O_DIRECTORY | unix.O_CLOEXEC
	root := d.root()
	if root == d {
		return retry(func() (int, error) { return unix.Open(d.path, flags, 0) })
	}
	top, err := retry(func() (int, error) {
		return unix.Open(root.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(top) }()
	return openBelow(top, strings.TrimPrefix(d.path[len(root.path):], "/"), flags)
}

// openBelow opens a path below a directory, without following symbolic links.
func openBelow(top int, path string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := retry(func() (int, error) { return unix.Openat2(top, path, &how) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return openStepwise(top, path, flags) // an old kernel, or a sandbox that does not know the call
	}
	return fd, err
}

func openStepwise(top int, path string, flags int) (int, error) {
	name, rest, more := strings.Cut(path, "/")
	if !more {
		return retry(func() (int, error) { return unix.Openat(top, name, flags|unix.O_NOFOLLOW, 0) })
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(top, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(fd) }()
	return openStepwise(fd, rest, flags)
}

// retry calls again what was interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		fd, err := call()
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// statAt asks about an entry of a directory, at the time or later.
func statAt(dir int, name string, follow bool, clock int64) (stat, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if follow {
		flags = unix.AT_NO_AUTOMOUNT
	}
	s := stat{clock: clock}
	_, err := retry(func() (int, error) { return 0, unix.Fstatat(dir, name, &s.Stat_t, flags) })
	return s, err
}

// statOf asks about an open file.
func statOf(fd int) (stat, error) {
	s := stat{clock: clock()}
	_, err := retry(func() (int, error) { return 0, unix.Fstat(fd, &s.Stat_t) })
	return s, err
}

// clock is the one that the times of files are taken from.
func clock() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return time.Now().UnixNano()
	}
	return unix.TimespecToNsec(now)
}

// readLink is where a symbolic link leads.
func readLink(dir int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := retry(func() (int, error) { return unix.Readlinkat(dir, name, buf) })
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// absent says that the error means that nothing is there: it has gone, or what is above it is no directory (any more).
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
