// Package identity tells directories apart, whether they are there at the same time or one after the other.
package identity

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Identity is what no two directories have in common.
type Identity struct {
	Device, Inode uint64

	// Handle is what the file system knows the directory by, where it has such: numbers of inodes are used again, handles are not.
	Handle string
}

// Of is the identity of what is at the path, which is relative to the open directory at. A symbolic link is followed; an empty
// path stands for at itself. st is what stat(2) says of it.
func Of(at int, path string, st *unix.Stat_t) Identity {
	id := Identity{Device: uint64(st.Dev), Inode: st.Ino}
	const flags = unix.AT_EMPTY_PATH | unix.AT_SYMLINK_FOLLOW
	h, _, err := unix.NameToHandleAt(at, path, flags)
	if errors.Is(err, unix.EOPNOTSUPP) {
		h, _, err = unix.NameToHandleAt(at, path, flags|forComparison)
	}
	if err == nil {
		id.Handle = string(h.Bytes())
	}
	return id
}

// forComparison is AT_HANDLE_FID of Linux 6.5: overlayfs has handles that nothing can be opened with.
//
// https://man7.org/linux/man-pages/man2/open_by_handle_at.2.html
const forComparison = 0x200
