package embedded

import (
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/container"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupParent = "/stack" // below it are the control groups of all containers of all engines of the host
)

// unifiedCgroups reports whether the host has control groups of version 2 only.
var unifiedCgroups = sync.OnceValue(func() bool {
	var fs unix.Statfs_t
	return unix.Statfs(cgroupRoot, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
})

func cgroupPath(r *container.Record) string {
	parent := r.Host.CgroupParent
	if parent == "" {
		parent = cgroupParent
	}
	return path.Join("/", parent, r.ID)
}

// removeEmptyCgroups removes the groups above the containers' own if no engine of the host has a container in them.
func removeEmptyCgroups() {
	dirs, err := filepath.Glob(cgroupRoot + "/*" + cgroupParent)
	if err != nil {
		return
	}
	for _, dir := range append(dirs, cgroupRoot+cgroupParent) {
		// One that is in use stays; the kernel decides.
		_ = unix.Rmdir(dir)
	}
}
