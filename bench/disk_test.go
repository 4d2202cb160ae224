package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// onJournal runs f where temporary files are on an ext4 as most machines have one, with a journal, in a file of its own. Some
// virtual machines have one without: there each new file waits until all inodes that were freed in the last minutes have been
// looked at, up to 0.7 ms, whoever makes it, and each freed one until the disk has been told of its blocks. What is measured of
// thousands of files would be that.
func onJournal(t *testing.T, f func(t *testing.T)) {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	image, disk := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	must := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	must("truncate", "-s", "4G", image)
	must("mkfs.ext4", "-q", "-F", image)
	must("mount", "-o", "loop", image, disk)
	defer must("umount", disk)
	t.Run("journal", func(t *testing.T) {
		t.Setenv("TMPDIR", disk)
		f(t)
	})
}
