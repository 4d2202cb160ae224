package shim

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// awaitExit waits for the end of the container's first process and does what is due then.
func (c *container) awaitExit() {
	status, err := c.process.Wait()
	c.ended(pidfd.Exit(status, err))
	c.shim.reapOrphans()
}

// ended records the exit, once everything that the container wrote is in its log.
func (c *container) ended(exit protocol.ExitStatus) {
	if c.init != nil {
		exit.OOMKilled = c.oomKilled()
		c.killRest()
	}
	if c.stdio != nil {
		if err := c.stdio.finish(); err != nil {
			fmt.Fprintf(os.Stderr, "container %s: cannot write the log: %v\n", c.id, err)
		}
	}
	c.release()
	if c.process != nil {
		c.process.Close()
	}
	if err := c.note(step{Status: protocol.Stopped, Exit: &exit}); err != nil {
		fmt.Fprintf(os.Stderr, "container %s: cannot record the exit: %v\n", c.id, err)
	}
	c.mu.Lock()
	c.status, c.exit = protocol.Stopped, exit
	quiet := c.failed
	c.mu.Unlock()
	close(c.done)
	c.announce(exit, quiet)
	c.shim.maybeQuit()
}

func (c *container) announce(exit protocol.ExitStatus, quiet bool) {
	if quiet {
		return
	}
	ref := protocol.Ref{ID: c.id}
	if exit.OOMKilled {
		c.shim.emit(protocol.EventOOM, ref)
	}
	c.shim.emit(protocol.EventExited, protocol.Exit{Ref: ref, Status: exit})
}

// killRest ends what the first process left behind. With a PID namespace of its own that is nothing: the kernel has
// killed it.
func (c *container) killRest() {
	config := c.init.Config()
	if config.Namespaces.IsPrivate(newPid) {
		return
	}
	if pids, err := c.init.Processes(); err == nil {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// reapOrphansForever buries the processes that lost their parent to the shim, which happens in containers that share
// the host's PID namespace.
func (s *Shim) reapOrphansForever() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	for range signals {
		s.reapOrphans()
	}
}

// reapOrphans leaves alone the processes that have somebody waiting for them. If libcontainer is at work it does
// nothing: there will be another SIGCHLD when its helpers end.
func (s *Shim) reapOrphans() {
	if !s.starts.TryLock() {
		return
	}
	defer s.starts.Unlock()
	for {
		pid := peekZombie()
		if pid == 0 || s.awaited(pid) {
			return
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// peekZombie is the number of a child that has ended, or 0.
func peekZombie() int {
	var info struct { // siginfo_t of a SIGCHLD, asm-generic/siginfo.h
		signo, errno, code int32
		_                  [unsafe.Sizeof(uintptr(0)) - 4]byte
		pid                int32
		_                  [128]byte
	}
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(info.pid)
}

func (s *Shim) awaited(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.owns(pid) {
			return true
		}
	}
	return false
}

func (c *container) owns(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == pid {
		return true
	}
	for _, p := range c.execs {
		if p.Pid == pid {
			return true
		}
	}
	return false
}

// watchExec waits for the end of a further process.
func (c *container) watchExec(id string, p *pidfd.Process) {
	status, err := p.Wait()
	exit := pidfd.Exit(status, err)
	c.mu.Lock()
	delete(c.execs, id)
	c.mu.Unlock()
	p.Close()
	c.shim.emit(protocol.EventExecExited, protocol.Exit{Ref: protocol.Ref{ID: c.id, Exec: id}, Status: exit})
	c.shim.reapOrphans()
}
