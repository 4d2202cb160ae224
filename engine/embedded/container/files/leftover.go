package files

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// RemoveLeftover removes the temporary file that a sync which was killed may have left in a directory. It is no error if there is
// none, or if nobody can get there or write there by now.
func RemoveLeftover(root *os.File, dir, temporary string) error {
	p, err := locate(root, path.Join("/", dir, temporary))
	if err != nil {
		return unlessAbsent(err)
	}
	defer p.parent.Close()
	err = unix.Unlinkat(int(p.parent.Fd()), p.name, 0)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil
	}
	return unlessGone(err)
}
