package build

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	// mountPool is where BuildKit mounts layers that a build writes to.
	mountPool = "mounts"
	// runningMark is there while a build runs, and after the death of the process that built.
	runningMark = "running"
	// TempDir, below the engine's state, is where the process that embeds a Builder should have its temporary files: what it
	// mounts there is found again after its death.
	TempDir = "tmp"
	// localPrefix begins the names of the temporary directories on which BuildKit mounts layers to read from them.
	localPrefix = "buildkit-mount"
)

// sweepMounts removes the mounts of a process that was killed while it built. If there was none it costs one look.
func sweepMounts(root string) {
	mark := filepath.Join(root, runningMark)
	if _, err := os.Lstat(mark); err != nil {
		return
	}
	// What cannot be unmounted is busy with somebody else; it hinders nothing here.
	mounts, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, root+"/") && !leftByBuild(m, filepath.Dir(root)), false
	})
	for _, m := range mounts {
		_ = unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		_ = os.Remove(m.Mountpoint)
	}
	sweepSecrets(root)
	_ = os.Remove(mark)
}

// leftByBuild recognises a temporary mount of layers that lie in the engine's state directory.
func leftByBuild(m *mountinfo.Info, state string) bool {
	return strings.HasPrefix(m.Mountpoint, filepath.Join(state, TempDir)+"/") || m.FSType == "overlay" && strings.HasPrefix(filepath.Base(m.Mountpoint), localPrefix) &&
		strings.Contains(m.VFSOptions, "="+state+"/")
}
