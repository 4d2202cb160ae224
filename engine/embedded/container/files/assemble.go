package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Part is what appears in a file system at a path.
type Part struct {
	At   string   // absolute and clean; links on the way are followed inside the file system
	Tree *os.File // a mount that is attached nowhere, with what is mounted in it

	ReadOnly        bool
	ShallowReadOnly bool // what is mounted in it can be written, as it always can before Linux 5.12
}

// Tree is a file system of several parts, as a process would see it that has it as its root. The kernel resolves paths in it, from
// part to part. No other process sees it, and it goes with Close.
type Tree struct {
	Root      *os.File
	namespace *os.File // keeps the parts mounted
}

// Close unmounts everything.
func (t *Tree) Close() error {
	err := t.Root.Close()
	if t.namespace != nil {
		err = errors.Join(err, t.namespace.Close())
	}
	return err
}

// Assemble mounts the parts, in their order, in the file system root, which is attached nowhere. Where there is nothing yet to
// mount them on, that is made. place is any directory of the host: the tree hides it for a moment in a mount namespace of its own.
// With readOnly nothing can be written in the end but to parts. The tree owns root, also if Assemble fails; the parts are the caller's.
func Assemble(root *os.File, parts []Part, place string, readOnly bool) (*Tree, error) {
	t := &Tree{Root: root}
	if len(parts) == 0 && !readOnly {
		return t, nil
	}
	err := onThread(func() error {
		return t.hide(func() error { return t.assemble(parts, place, readOnly) })
	})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// onThread runs f on an operating system thread of its own, which f may take into another namespace: it ends with f. It is never
// the process's main thread, which cannot end, and which /proc/self would follow.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// hide does f on the calling thread in a mount namespace of its own, which the tree keeps. The thread goes back before it returns:
// it would keep what is mounted there until it has ended, which nobody waits for.
func (t *Tree) hide(f func() error) (err error) {
	const own = "/proc/thread-self/ns/mnt"
	host, err := os.Open(own)
	if err != nil {
		return err
	}
	defer host.Close()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	defer func() {
		err = errors.Join(err, os.NewSyscallError("setns", unix.Setns(int(host.Fd()), unix.CLONE_NEWNS)))
	}()
	if t.namespace, err = os.Open(own); err != nil {
		return err
	}
	return f()
}

// assemble mounts everything in the mount namespace of the calling thread, where nothing else is mounted in the end.
func (t *Tree) assemble(parts []Part, place string, readOnly bool) error {
	// What is mounted here is mounted nowhere else.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	err := unix.MoveMount(int(t.Root.Fd()), "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	if err := unshare(t.Root); err != nil {
		return err
	}
	for _, part := range parts {
		if err := t.attach(part); err != nil {
			return fmt.Errorf("cannot mount %s: %w", part.At, err)
		}
	}
	if readOnly {
		if err := protect(t.Root, 0); err != nil {
			return err
		}
	}
	return t.leaveHost()
}

// leaveHost unmounts what the namespace has of the host: as long as the tree is there, that would keep busy what is unmounted on
// the host. See pivot_root(2) for the two dots. A host that runs from its initramfs cannot do without it.
func (t *Tree) leaveHost() error {
	if err := unix.Fchdir(int(t.Root.Fd())); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	err := unix.PivotRoot(".", ".")
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	return os.NewSyscallError("umount", unix.Unmount(".", unix.MNT_DETACH))
}

// attach mounts the part where its path leads by now.
func (t *Tree) attach(part Part) error {
	info, err := part.Tree.Stat()
	if err != nil {
		return err
	}
	target, err := mountPoint(t.Root, part.At, info.IsDir())
	if err != nil {
		return err
	}
	defer target.Close()
	err = unix.MoveMount(int(part.Tree.Fd()), "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	if err := unshare(part.Tree); err != nil || !part.ReadOnly {
		return err
	}
	if part.ShallowReadOnly {
		return protect(part.Tree, 0)
	}
	return protect(part.Tree, unix.AT_RECURSIVE)
}

// mountSetattr is a variable for tests: Linux has it since 5.12.
var mountSetattr = unix.MountSetattr

// protect makes the tree, which is attached, read-only; with AT_RECURSIVE also what is mounted in it, if the kernel can do that.
func protect(tree *os.File, recursive uint) error {
	err := mountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH|recursive, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) {
		return os.NewSyscallError("mount_setattr", err)
	}
	at := fmt.Sprintf("/proc/self/fd/%d", tree.Fd())
	return os.NewSyscallError("mount", unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
}

// unshare keeps what is going to be mounted in the tree, which is attached, from appearing where it was cloned from, if that is a
// shared mount.
func unshare(tree *os.File) error {
	return os.NewSyscallError("mount", unix.Mount("", fmt.Sprintf("/proc/self/fd/%d", tree.Fd()), "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// mountPoint opens what is at the path, and makes it, and the directories above it, if there is nothing: where a link leads that
// leads to nothing, as for a container that runs.
func mountPoint(root *os.File, name string, isDir bool) (*os.File, error) {
	for range maxLinks {
		there, err := Open(root, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return there, err
		}
		link, err := makeMountPoint(root, name, isDir)
		if err != nil {
			return nil, err
		}
		if link != "" {
			name = link
		}
	}
	return nil, unix.ELOOP
}

// maxLinks is how many links the kernel follows in a path, too.
const maxLinks = 40

// makeMountPoint makes what is not there yet, or tells where the link leads that is there. Paths are not cleaned: what ".." means
// behind a link, only the kernel knows.
func makeMountPoint(root *os.File, name string, isDir bool) (link string, err error) {
	dir, base := path.Split(strings.TrimRight(name, "/"))
	above, err := mountPoint(root, dir, true)
	if err != nil {
		return "", err
	}
	defer above.Close()
	if isDir {
		err = unix.Mkdirat(int(above.Fd()), base, 0o755)
	} else {
		err = unix.Mknodat(int(above.Fd()), base, unix.S_IFREG|0o644, 0)
	}
	if !errors.Is(err, unix.EEXIST) {
		return "", err
	}
	link, err = linkOf(place{above, base})
	switch {
	case errors.Is(err, unix.EINVAL):
		return "", nil // it is "..", or somebody else made it
	case err == nil && !path.IsAbs(link):
		link = dir + link
	}
	return link, err
}

// Clone makes the tree of a part from what is somewhere on the host; recursive: with what is mounted in it.
func Clone(source *os.File, recursive bool) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(int(source.Fd()), "", flags)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: source.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), source.Name()), nil
}

// Nothing makes the tree of a part that is an empty directory and takes nothing.
func Nothing() (*os.File, error) {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fd)
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	root, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(root), "nothing"), nil
}
