package shim

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heedSignals makes the signals that the engine ignores, or whoever started it (nohup), count again in containers: in a
// program that is executed a handled signal is back at its default, and an ignored one is not.
func heedSignals() {
	unwanted := make(chan os.Signal, 1)
	for sig := syscall.SIGHUP; sig <= syscall.SIGSYS; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(unwanted, sig)
		}
	}
	for sig := uintptr(firstRealTime); sig <= lastSignal; sig++ {
		heedRealTime(sig)
	}
}

// Signals of linux/signal.h. Go and the C library keep their hands off the first two, which some programs leave ignored
// to those that they start (make does).
const (
	firstRealTime = 32
	lastSignal    = 64
)

// sigaction is the kernel's struct sigaction.
type sigaction struct {
	handler  uintptr // 0 is the default, 1 is to ignore
	flags    uint64
	restorer uintptr
	mask     uint64
}

// heedRealTime gives an ignored signal its default back. It fails for no signal that exists.
func heedRealTime(sig uintptr) {
	const ignore = 1
	var action sigaction
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&action)), unsafe.Sizeof(action.mask), 0, 0)
	if errno != 0 || action.handler != ignore {
		return
	}
	action = sigaction{}
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
}
