package fsnotify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
)

// The kernel is not told what happens on a file system that a program keeps. It is polled, and the user hears of that.
func TestBlind(t *testing.T) {
	if !inNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("there is no /dev/fuse: ", err)
	}
	files := &emptyFiles{device: device}
	files.mode.Store(0o755)
	must(t, unix.Mount("test", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)))
	go files.serve()
	defer func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }()

	s := open(t)
	var blind *watch.Blind
	if err := s.Add(dir); !errors.As(err, &blind) || blind.Dir != dir || blind.FileSystem != "fuse" {
		t.Errorf("it is watched with the error %v", err)
	}
	must(t, s.Close())

	told := ""
	fallback := Open(func(err error) { told = err.Error() })
	defer func() { must(t, fallback.Close()) }()
	must(t, fallback.Add(dir))
	if !strings.HasPrefix(told, "some directories are polled: "+dir+" is on a fuse file system") {
		t.Errorf("this is told: %q", told)
	}
	files.mode.Store(0o700)
	next(t, fallback, func(e watch.Event) bool { return e == watch.Event{Dir: dir} })
}

// emptyFiles is a file system with one directory that is empty.
//
// include/uapi/linux/fuse.h of the kernel
type emptyFiles struct {
	device int
	mode   atomic.Uint32
}

// What the kernel asks for.
const (
	fuseForget     = 2
	fuseGetattr    = 3
	fuseStatfs     = 17
	fuseInit       = 26
	fuseOpendir    = 27
	fuseReaddir    = 28
	fuseReleasedir = 29
	fuseInterrupt  = 36
)

func (f *emptyFiles) serve() {
	buf := make([]byte, 1<<20)
	for {
		n, err := unix.Read(f.device, buf)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil || n < 16 {
			return
		}
		if answer := f.answer(binary.NativeEndian.Uint32(buf[4:])); answer != nil {
			copy(answer[8:], buf[8:16]) // which question it is
			binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
			_, _ = unix.Write(f.device, answer)
		}
	}
}

// answer is a header of 16 bytes and what follows it.
func (f *emptyFiles) answer(to uint32) []byte {
	sized := func(n int) []byte { return make([]byte, 16+n) }
	put := binary.NativeEndian.PutUint32
	switch to {
	case fuseForget, fuseInterrupt:
		return nil
	case fuseInit:
		b := sized(64)
		put(b[16:], 7) // the version of the protocol
		put(b[20:], 31)
		put(b[36:], 4096) // the most that is written at once
		return b
	case fuseGetattr:
		b := sized(104)
		b[32] = 1 // the inode
		put(b[92:], unix.S_IFDIR|f.mode.Load())
		put(b[96:], 2) // names
		return b
	case fuseStatfs:
		return sized(80)
	case fuseOpendir:
		return sized(16)
	case fuseReaddir, fuseReleasedir:
		return sized(0)
	default:
		b := sized(0)
		put(b[4:], ^uint32(unix.ENOSYS)+1)
		return b
	}
}
