package build

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// memory is where files can lie that must not reach a disk.
const memory = "/dev/shm"

// secretPrefix begins the names of the directories with copied secrets of the builder whose state is in root.
func secretPrefix(root string) string {
	return fmt.Sprintf("stack-build-%.8x-", sha256.Sum256([]byte(root)))
}

// ownMount says whether the directory is a mount point that BuildKit has made for this one step. A step's container is
// put together in another mount namespace, in which that mount is not.
func ownMount(dir string) bool {
	var here, above unix.Stat_t
	return unix.Lstat(dir, &here) == nil && unix.Lstat(filepath.Dir(dir), &above) == nil && here.Dev != above.Dev
}

// copySecret copies the file, with owner and mode, to where every namespace sees it: into memory where there is such a file
// system, else beside the builder's state. The copy lives as long as the step.
func (e *stepExecutor) copySecret(file string, cleanup *cleanups) (string, error) {
	where := memory
	var fs unix.Statfs_t
	if err := unix.Statfs(memory, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		where = e.dir
	}
	dir, err := os.MkdirTemp(where, secretPrefix(e.root))
	if err != nil {
		return "", err
	}
	cleanup.add(func() error { return os.RemoveAll(dir) })
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "secret")
	if err := os.WriteFile(out, content, 0o600); err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(out, int(st.Uid), int(st.Gid)); err != nil {
			return "", err
		}
	}
	return out, os.Chmod(out, info.Mode().Perm())
}

// sweepSecrets removes what a killed process has left in memory.
func sweepSecrets(root string) {
	left, _ := filepath.Glob(filepath.Join(memory, secretPrefix(root)+"*"))
	for _, dir := range left {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) == nil && int(st.Uid) == os.Geteuid() {
			_ = os.RemoveAll(dir)
		}
	}
}
