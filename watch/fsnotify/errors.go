package fsnotify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
)

// instanceError explains why there is no instance. The same error number stands for this process having too many open files.
func instanceError(err error) error {
	if !errors.Is(err, unix.EMFILE) {
		return os.NewSyscallError("inotify_init1", err)
	}
	spare, failed := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if failed != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	_ = unix.Close(spare)
	return limit("instances", "programs that watch files", 1024)
}

// watchError explains why a directory is not watched.
func watchError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return limit("watches", "watched directories", 1<<20)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // a link may lead to itself
		return fmt.Errorf("%w as a directory", fs.ErrNotExist)
	default:
		return err
	}
}

// limit describes the one of fs.inotify, or that of a user namespace if it is lower.
func limit(what, of string, enough int) *watch.Limit {
	l := &watch.Limit{Name: "fs.inotify.max_user_" + what, Of: of}
	l.Value, _ = setting(l.Name)
	own := "user.max_inotify_" + what
	if value, known := setting(own); known && value < l.Value {
		l.Name, l.Value = own, value
	}
	l.Raise = max(enough, 2*l.Value)
	return l
}

// setting is the value that sysctl shows.
func setting(name string) (int, bool) {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return 0, false
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return value, err == nil
}

// blind is a *watch.Blind if the directory is on a file system that others change without the kernel of this machine, which is
// so on those of a network and of a host.
func blind(dir string) error {
	var of unix.Statfs_t
	if err := unix.Statfs(dir, &of); err != nil {
		return nil // it is gone; that is told
	}
	if name := shared[uint32(of.Type)]; name != "" {
		return &watch.Blind{Dir: dir, FileSystem: name}
	}
	return nil
}

// shared are such file systems by what statfs(2) says of them: include/uapi/linux/magic.h of the kernel, and of those that are
// not in it their own sources.
var shared = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "nfs",
	unix.SMB_SUPER_MAGIC:   "smb",
	unix.SMB2_SUPER_MAGIC:  "smb",
	unix.CIFS_SUPER_MAGIC:  "cifs",
	unix.NCP_SUPER_MAGIC:   "ncp",
	unix.V9FS_MAGIC:        "9p",
	unix.FUSE_SUPER_MAGIC:  "fuse",
	unix.CEPH_SUPER_MAGIC:  "ceph",
	unix.AFS_SUPER_MAGIC:   "afs",
	unix.AFS_FS_MAGIC:      "afs",
	unix.CODA_SUPER_MAGIC:  "coda",
	unix.OCFS2_SUPER_MAGIC: "ocfs2",
	0x01161970:             "gfs2",
	0x0bd00bd0:             "lustre",
	0x47504653:             "gpfs",
	0x19830326:             "beegfs",
	0x786f4256:             "vboxsf",
	0xbacbacbc:             "vmhgfs",
	0x7c7c6673:             "prl_fs",
}
