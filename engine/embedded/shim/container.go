package shim

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
	"stackrun.dev/stack/engine/embedded/shim/resolver"
)

// container is one container from the beginning of its creation to its deletion.
type container struct {
	shim    *Shim
	id      string
	bound   bool
	adopted bool // from a predecessor

	command string                  // for messages
	init    *libcontainer.Container // nil while it is made, and if it could not be adopted

	op sync.Mutex // one operation at a time; held longer than mu and taken before it

	// freezing keeps a pause (the writer) from coming while processes are started: libcontainer would wait for the frozen
	// process and hold the lock that the resume needs. Taken after op and before Shim.starts.
	freezing sync.RWMutex

	mu        sync.Mutex
	status    protocol.Status
	pid       int
	startTime uint64
	startedAt time.Time
	exit      protocol.ExitStatus
	execs     map[string]*pidfd.Process

	process  *pidfd.Process
	executed *os.File // tells, after Start, whether the command could be executed
	failed   bool     // it could not; nobody is told of the exit
	user     identity
	stdio    *stdio
	resolver *resolver.Server
	ports    []heldPort    // guarded by mu, as is released
	released bool          // nothing is to be held any more
	done     chan struct{} // closed when the exit is recorded
}

// state is what is told of the container; nothing while it is made.
func (c *container) state() (protocol.State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == creating || c.bound {
		return protocol.State{}, false
	}
	s := protocol.State{ID: c.id, Status: c.status, StartedAt: c.startedAt}
	if c.status == protocol.Stopped {
		s.Exit = c.exit
	} else {
		s.Pid = c.pid
	}
	if c.resolver != nil {
		s.Networks = c.resolver.Networks()
	}
	return s, true
}

func (c *container) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status == protocol.Stopped
}

// expect fails with a conflict if the container is at none of the stages.
func (c *container) expect(doing string, stages ...protocol.Status) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range stages {
		if c.status == s {
			return nil
		}
	}
	return protocol.Errorf(protocol.Conflict, "cannot %s container %s: it is %s", doing, c.id, c.status)
}

func (c *container) setStatus(status protocol.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != protocol.Stopped {
		c.status = status
	}
}

func (c *container) dir() string { return c.shim.cfg.Dir.Container(c.id) }

// kill ends the container, in whatever state it is.
func (c *container) kill() {
	if c.init != nil && c.init.Signal(syscall.SIGKILL) == nil {
		return
	}
	if c.process != nil {
		_ = c.process.Signal(syscall.SIGKILL)
	}
}

func (c *container) pause() error {
	c.op.Lock()
	defer c.op.Unlock()
	c.freezing.Lock()
	defer c.freezing.Unlock()
	if err := c.expect("pause", protocol.Running); err != nil {
		return err
	}
	if err := c.init.Pause(); err != nil {
		return err
	}
	c.setStatus(protocol.Paused)
	return nil
}

func (c *container) resume() error {
	c.op.Lock()
	defer c.op.Unlock()
	if err := c.expect("resume", protocol.Paused); err != nil {
		return err
	}
	if err := c.init.Resume(); err != nil {
		return err
	}
	c.setStatus(protocol.Running)
	return nil
}

func (s *Shim) signal(r protocol.SignalRequest) error {
	c, err := s.container(r.ID)
	if err != nil {
		return err
	}
	if err := c.expect("signal", protocol.Created, protocol.Running, protocol.Paused); err != nil {
		return err
	}
	sig := syscall.Signal(r.Signal)
	switch {
	case r.Exec != "":
		return c.signalExec(r.Exec, sig)
	case r.All:
		return c.signalAll(sig)
	}
	err = c.init.Signal(sig)
	if errors.Is(err, libcontainer.ErrNotRunning) {
		return protocol.Errorf(protocol.Conflict, "cannot signal container %s: it has just exited", c.id)
	}
	return err
}

func (c *container) signalAll(sig syscall.Signal) error {
	pids, err := c.init.Processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return os.NewSyscallError("kill", err)
		}
	}
	return nil
}

// delete forgets a container that does not run.
func (s *Shim) delete(id string) error {
	c, err := s.container(id)
	if err != nil {
		return err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if err := c.expect("delete", protocol.Created, protocol.Stopped); err != nil {
		return err
	}
	if !c.stopped() {
		c.mu.Lock()
		c.failed = true
		c.mu.Unlock()
		c.kill()
		<-c.done
	}
	if c.init != nil {
		if err := c.init.Destroy(); err != nil {
			return err
		}
	}
	if err := s.forget(c); err != nil {
		return err
	}
	s.maybeQuit()
	return nil
}

// forget removes the container's files and the container.
func (s *Shim) forget(c *container) error {
	if err := os.RemoveAll(c.dir()); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.Dir.States(), c.id)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, c.id)
	for conn := range s.conns {
		conn.unbind(c.id)
	}
	return nil
}

func (s *Shim) setNetworks(r protocol.NetworksRequest) error {
	c, err := s.container(r.ID)
	if err != nil {
		return err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if c.resolver == nil {
		return protocol.Errorf(protocol.Conflict, "container %s has no name server", c.id)
	}
	if err := c.note(step{Networks: &r.Networks}); err != nil {
		return err
	}
	c.resolver.SetNetworks(r.Networks)
	return nil
}
