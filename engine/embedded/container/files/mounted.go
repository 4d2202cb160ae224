package files

import (
	"errors"

	"golang.org/x/sys/unix"
)

// found is what a directory has under a name: a file, a directory, a link, or nothing.
type found struct {
	mode    uint32 // as the kernel has it; 0: there is nothing
	mounted bool   // something is mounted there
}

func (f found) is(kind uint32) bool { return f.mode&unix.S_IFMT == kind }

// look tells what is at the place. The kernel keeps mount points of its caller's namespace from being removed, but those of
// a container are in another one and would silently go, with what is mounted there.
func (p place) look() (found, error) { return lookAt(int(p.parent.Fd()), p.name) }

func lookAt(at int, name string) (found, error) {
	var stat unix.Statx_t
	err := unix.Statx(at, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_MODE, &stat)
	if errors.Is(err, unix.ENOENT) {
		return found{}, nil
	}
	return found{uint32(stat.Mode), stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}, err
}
