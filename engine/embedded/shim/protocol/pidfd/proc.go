package pidfd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenProc opens what /proc has of the process under the name, for example "root" or "ns/net". See the function.
func (p *Process) OpenProc(name string, flags int) (*os.File, error) {
	return OpenProc(p.file, name, flags)
}

// OpenProc opens what /proc has of a process under the name; process is its pidfd. What is opened is that process's for certain,
// although /proc knows numbers only, which others get. os.ErrProcessDone: the process has ended.
func OpenProc(process *os.File, name string, flags int) (*os.File, error) {
	raw, err := process.SyscallConn()
	if err != nil {
		return nil, err
	}
	var found *os.File
	cerr := raw.Control(func(fd uintptr) {
		var pid int
		if pid, err = number(int(fd)); err == nil {
			found, err = openProven(int(fd), pid, name, flags)
		}
	})
	return found, errors.Join(cerr, err)
}

// number is the number that the process has; os.ErrProcessDone if it has none any more.
func number(process int) (int, error) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(process))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err == nil && pid <= 0 {
				err = os.ErrProcessDone
			}
			return pid, err
		}
	}
	return 0, fmt.Errorf("descriptor %d is none of a process", process)
}

// openProven opens a file of the process with the number, if that is the one of the pidfd. A process keeps its number to its end:
// when it is still there after the opening, the number was its own while it was opened.
func openProven(process, pid int, name string, flags int) (*os.File, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, name)
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	switch gone := unix.PidfdSendSignal(process, 0, nil, 0); {
	case gone != nil && err == nil:
		_ = unix.Close(fd)
		fallthrough
	case errors.Is(gone, unix.ESRCH):
		return nil, os.ErrProcessDone
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
