package spread

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBelow(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("needs ext4")
	}
	before := flagsOf(t, dir)
	for range 2 { // the second finds it done
		Below(dir)
		if got := flagsOf(t, dir); got != before|topDir {
			t.Errorf("the flags are %x, before %x", got, before)
		}
	}
}

func TestWhatCannotBeSpreadIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	Below(filepath.Join(dir, "missing"))
	Below("/proc")
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory was made")
	}
}

func flagsOf(t *testing.T, dir string) int {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}
