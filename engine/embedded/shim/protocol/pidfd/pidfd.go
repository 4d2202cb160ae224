// Package pidfd waits for processes by descriptor: without a thread, without mistaking one process for another that got
// its number, and, where the kernel tells (since Linux 6.15), for processes that are not the caller's children.
package pidfd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a descriptor of a process. It is watched by the network poller.
type Process struct {
	Pid   int
	file  *os.File
	child bool
}

// Open takes hold of a process that is the caller's child.
func Open(pid int) (*Process, error) { return open(pid, true) }

// OpenOther takes hold of a process that need not be the caller's child, if it is the one that started at the time
// StartTime returned for it.
func OpenOther(pid int, started uint64) (*Process, error) {
	p, err := open(pid, false)
	if err != nil {
		return nil, err
	}
	now, err := StartTime(pid)
	if err == nil && now != started {
		err = unix.ESRCH
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// FromFile takes a descriptor that came from elsewhere, and owns it. The process need not be the caller's child.
func FromFile(pid int, f *os.File) (*Process, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	f.Close()
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return wrap(pid, fd, false)
}

func open(pid int, child bool) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return wrap(pid, fd, child)
}

func wrap(pid, fd int, child bool) (*Process, error) {
	if err := unix.SetNonblock(fd, true); err != nil { // makes os.NewFile hand it to the poller
		unix.Close(fd)
		return nil, err
	}
	return &Process{Pid: pid, file: os.NewFile(uintptr(fd), "pidfd"), child: child}, nil
}

// File is the descriptor, for passing it on.
func (p *Process) File() *os.File { return p.file }

// Close lets go of the process. A Wait returns os.ErrClosed.
func (p *Process) Close() error { return p.file.Close() }

// Signal sends a signal. It returns os.ErrProcessDone if the process is gone.
func (p *Process) Signal(sig syscall.Signal) error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return errors.Join(cerr, err)
}

// ErrUnknown says that a process ended and nobody knows how.
var ErrUnknown = errors.New("exit status unknown")

// Wait returns when the process has ended, with its status. A child is reaped. Of another process the status is asked
// of the kernel: ErrUnknown if it does not tell.
func (p *Process) Wait() (syscall.WaitStatus, error) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var status syscall.WaitStatus
	var result error
	err = raw.Read(func(fd uintptr) bool {
		if p.child {
			var done bool
			status, done, result = reap(p.Pid)
			return done
		}
		status, result = p.ask(int(fd))
		return !errors.Is(result, unix.EAGAIN)
	})
	if err != nil {
		return 0, os.ErrClosed
	}
	return status, result
}

func reap(pid int) (status syscall.WaitStatus, done bool, err error) {
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, true, fmt.Errorf("%w: %w", ErrUnknown, err)
		default:
			return status, got == pid, nil
		}
	}
}

// ask learns how a process that is not a child ended: EAGAIN while it lives.
func (p *Process) ask(fd int) (syscall.WaitStatus, error) {
	// A zombie shows its status to root until its parent fetches it.
	if status, zombie := zombieStatus(p.Pid); zombie && p.alive(fd) {
		return status, nil
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	switch err := unix.IoctlPidfdInfo(fd, &info); {
	case err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0:
		return syscall.WaitStatus(info.Exit_code), nil
	case unix.PidfdSendSignal(fd, 0, nil, 0) == nil:
		return 0, unix.EAGAIN
	default:
		return 0, ErrUnknown
	}
}

// alive tells whether the process still has its number; a zombie does.
func (p *Process) alive(fd int) bool { return unix.PidfdSendSignal(fd, 0, nil, 0) == nil }

// The fields of /proc/PID/stat after the name, which is in parentheses; proc_pid_stat(5) counts from 1.
const (
	fieldState     = 3 - 3
	fieldStartTime = 22 - 3
	fieldExitCode  = 52 - 3
)

func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= fieldStartTime {
		return nil, fmt.Errorf("cannot understand /proc/%d/stat", pid)
	}
	return fields, nil
}

// StartTime is when the process started, in clock ticks since the machine did. With the pid it names a process.
func StartTime(pid int) (uint64, error) {
	fields, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[fieldStartTime], 10, 64)
}

func zombieStatus(pid int) (syscall.WaitStatus, bool) {
	fields, err := statFields(pid)
	if err != nil || len(fields) <= fieldExitCode || fields[fieldState] != "Z" {
		return 0, false
	}
	code, err := strconv.Atoi(fields[fieldExitCode])
	return syscall.WaitStatus(code), err == nil
}
