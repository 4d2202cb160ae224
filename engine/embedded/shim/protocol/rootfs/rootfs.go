// Package rootfs makes root file systems of directories, mounted nowhere: they are a file descriptor until they are
// attached to a path, and gone when it is closed.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Open mounts the file system without attaching it. Closing the file unmounts it.
func Open(fs protocol.Rootfs) (*os.File, error) {
	root, err := open(fs)
	if err != nil {
		return nil, fmt.Errorf("cannot mount the root file system: %w", err)
	}
	return root, nil
}

func open(fs protocol.Rootfs) (*os.File, error) {
	switch {
	case len(fs.Lower) == 0 && fs.Upper == "":
		return nil, errors.New("it has no directory")
	case len(fs.Lower) == 0:
		return openTree(fs.Upper, fs.ReadOnly)
	case len(fs.Lower) == 1 && fs.Upper == "":
		return openTree(fs.Lower[0], true)
	default:
		return openOverlay(fs)
	}
}

// Attach makes the file system appear at a directory of the caller's mount namespace.
func Attach(root *os.File, path string) error {
	err := unix.MoveMount(int(root.Fd()), "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return &os.PathError{Op: "attach a mount", Path: path, Err: err}
	}
	return nil
}

func openTree(dir string, readOnly bool) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: dir, Err: err}
	}
	root := os.NewFile(uintptr(fd), dir)
	if readOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			root.Close()
			return nil, &os.PathError{Op: "mount_setattr", Path: dir, Err: err}
		}
	}
	return root, nil
}

// layers are the directories of an overlay, opened, so that neither their length nor a character in them matters.
type layers struct{ files []*os.File }

func (l *layers) path(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: dir, Err: err}
	}
	l.files = append(l.files, os.NewFile(uintptr(fd), dir))
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

func (l *layers) close() { protocol.CloseAll(l.files) }

func openOverlay(fs protocol.Rootfs) (*os.File, error) {
	var l layers
	defer l.close()
	lower := make([]string, len(fs.Lower))
	for i, dir := range fs.Lower {
		p, err := l.path(dir)
		if err != nil {
			return nil, err
		}
		lower[i] = p
	}
	var upper [][2]string
	for _, opt := range [][2]string{{"upperdir", fs.Upper}, {"workdir", fs.Work}} {
		if opt[1] == "" {
			continue
		}
		p, err := l.path(opt[1])
		if err != nil {
			return nil, err
		}
		upper = append(upper, [2]string{opt[0], p})
	}
	root, err := mountOverlay(lower, upper, fs.ReadOnly, true)
	if errors.Is(err, unix.EINVAL) { // lowerdir+ is there since Linux 6.7
		root, err = mountOverlay(lower, upper, fs.ReadOnly, false)
	}
	return root, err
}

// maxOption is the longest value that fsconfig takes.
const maxOption = 255

func mountOverlay(lower []string, upper [][2]string, readOnly, single bool) (*os.File, error) {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen overlay", err)
	}
	config := os.NewFile(uintptr(fd), "overlay")
	defer config.Close()

	options := append([][2]string{{"source", "overlay"}}, upper...)
	if single {
		for _, dir := range lower {
			options = append(options, [2]string{"lowerdir+", dir})
		}
	} else {
		all := strings.Join(lower, ":")
		if len(all) > maxOption {
			return nil, fmt.Errorf("%d layers are too many for this kernel, 6.7 takes more", len(lower))
		}
		options = append(options, [2]string{"lowerdir", all})
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fd, o[0], o[1]); err != nil {
			return nil, fmt.Errorf("overlay option %s: %w%s", o[0], err, complaint(config))
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, fmt.Errorf("overlay: %w%s", err, complaint(config))
	}
	attr := 0
	if readOnly {
		attr = unix.MOUNT_ATTR_RDONLY
	}
	root, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(root), filepath.Join("overlay", lower[0])), nil
}

// complaint is what the kernel has to say about the options: lines of "e text".
func complaint(config *os.File) string {
	var out []string
	buf := make([]byte, 512)
	for len(out) < 8 {
		n, err := unix.Read(int(config.Fd()), buf)
		if err != nil || n <= 2 {
			break
		}
		out = append(out, strings.TrimSpace(string(buf[2:n])))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, "; ") + ")"
}
