package watchtest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Held are the tests of a package, run while the folders above their temporary ones are watched. When the first watch of a folder
// comes and when the last one goes, the kernel goes through all names below the folder that it remembers, those of files that are
// gone included. Of /tmp these may be millions, each source watches it, and nobody can look up a file there meanwhile: on such a
// machine each test takes a quarter of a second of one processor. It costs nothing while another watch stays.
func Held(tests Tests) Tests { return held{tests} }

// Tests is *testing.M.
type Tests interface{ Run() int }

type held struct{ tests Tests }

// Run implements Tests.
func (h held) Run() int {
	fd, err := hold(os.TempDir())
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests of watched files are slower:", err)
	} else {
		defer unix.Close(fd)
	}
	return h.tests.Run()
}

// hold watches for what hardly ever happens, so that little is told to nobody.
func hold(dir string) (fd int, err error) {
	fd, err = unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("cannot watch %s: %w", dir, err)
	}
	for up := ""; dir != up; up, dir = dir, filepath.Dir(dir) {
		if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_ATTRIB|unix.IN_ONLYDIR); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("cannot watch %s: %w", dir, err)
		}
	}
	return fd, nil
}
