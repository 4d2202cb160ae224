// Package spread keeps directories fast in which subdirectories come and go.
//
// ext4 gives the number of a removed file to no other for some minutes, and looks at all such numbers of a block group
// again for every file that it makes there. A few hundred containers' worth of removed files make each new file cost
// ten times as much. Directories that have nothing to do with each other can be told apart with the attribute T of
// chattr(1): each gets a block group of its own.
package spread

import (
	"os"

	"golang.org/x/sys/unix"
)

// topDir is FS_TOPDIR_FL of linux/fs.h.
const topDir = 0x00020000

// Below has what is made from now on in subdirectories of dir spread over the file system. It is a hint: what does not
// know it stays as it is.
func Below(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // read only
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&topDir != 0 {
		return
	}
	_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
}
