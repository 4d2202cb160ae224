package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
	"stackrun.dev/stack/engine/embedded/shim/protocol/rootfs"
	"stackrun.dev/stack/engine/embedded/shim/stub"
)

// create makes a container, up to the point where its first process waits for Start. If it fails nothing is left.
func (s *Shim) create(cn *conn, r *protocol.CreateRequest, raw json.RawMessage, files []*os.File, out *attached) (any, error) {
	byRole, err := protocol.ByRole(r.Files, files)
	if err != nil {
		return nil, err
	}
	defer protocol.CloseAll(files)
	c := &container{
		shim: s, id: r.ID, bound: r.Bound, command: commandOf(r), status: creating, execs: map[string]*pidfd.Process{}, done: make(chan struct{}),
	}
	c.op.Lock()
	defer c.op.Unlock()
	if err := s.register(c); err != nil {
		return nil, err
	}
	if err := c.create(r, raw, byRole); err != nil {
		return nil, errors.Join(err, s.forget(c))
	}
	if r.Bound {
		if err := cn.bind(c); err != nil {
			c.kill()
			<-c.done
			return nil, errors.Join(err, c.init.Destroy(), s.forget(c))
		}
	}
	return protocol.CreateReply{Pid: c.pid, Files: c.hold(out)}, nil
}

// commandOf is the program that the request names, for messages.
func commandOf(r *protocol.CreateRequest) string {
	if r.Spec == nil || r.Spec.Process == nil || len(r.Spec.Process.Args) == 0 {
		return ""
	}
	return r.Spec.Process.Args[0]
}

func (s *Shim) register(c *container) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[c.id] != nil || s.lost[c.id] != nil {
		return protocol.Errorf(protocol.Conflict, "container %s exists already", c.id)
	}
	if s.quitting {
		return errors.New("the shim is about to end")
	}
	s.containers[c.id] = c
	return nil
}

// hold adds the files that keep the container's streams and exit status should the shim die.
func (c *container) hold(out *attached) []protocol.FileRole {
	out.add(protocol.FilePidfd, c.process.File())
	if c.stdio != nil {
		c.stdio.hold(out)
	}
	return out.roles
}

func (s *Shim) hold(r protocol.Ref, out *attached) (any, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	if err := c.expect("hold", protocol.Created, protocol.Running, protocol.Paused); err != nil {
		return nil, err
	}
	return protocol.HoldReply{Files: c.hold(out)}, nil
}

func (c *container) create(r *protocol.CreateRequest, raw json.RawMessage, files map[protocol.FileRole]*os.File) (err error) {
	if err := os.Mkdir(c.dir(), 0o700); err != nil {
		return err
	}
	if err := c.begin(raw); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	if c.ports, err = reservePorts(r.Ports); err != nil { // nobody else knows the container yet
		return err
	}
	if r.Resolver != nil {
		if err := c.startResolver(r.Resolver, files[protocol.FileNetNS]); err != nil {
			return err
		}
	}
	if err := c.launch(r, files); err != nil {
		return err
	}
	created := step{Status: protocol.Created, Pid: c.pid, Started: c.startTime, User: &c.user}
	if err := c.note(created); err != nil {
		c.kill()
		<-c.done
		return errors.Join(err, c.init.Destroy())
	}
	return nil
}

// release gives back what the container has besides processes. It may be called twice.
func (c *container) release() {
	c.mu.Lock()
	closePorts(c.ports)
	c.ports, c.released = nil, true
	c.mu.Unlock()
	if c.resolver != nil {
		c.resolver.Close()
	}
}

// launch mounts the root file system, has libcontainer make the first process in it, and unmounts it: the process has
// its own mount of it by then.
func (c *container) launch(r *protocol.CreateRequest, files map[protocol.FileRole]*os.File) error {
	root, err := rootfs.Open(r.Rootfs)
	if err != nil {
		return err
	}
	defer root.Close()
	mountpoint := filepath.Join(c.dir(), rootDir)
	if err := os.Mkdir(mountpoint, 0o700); err != nil {
		return err
	}
	if err := rootfs.Attach(root, mountpoint); err != nil {
		return err
	}
	defer unmount(mountpoint)

	if c.user, err = resolveUser(root, r.User, r.GroupAdd, &r.Spec.Process.User); err != nil {
		return err
	}
	child, err := c.openStreams(r, files)
	if err != nil {
		return err
	}
	defer child.close()
	err = c.startInit(r, mountpoint, files[protocol.FileNetNS], child)
	if err != nil && c.stdio != nil {
		c.stdio.close()
	}
	return err
}

// unmount takes a mount away that may still be in use elsewhere. The directory stays: libcontainer begins every further
// process of the container there.
func unmount(path string) {
	_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) // if it is not mounted there is nothing to do
}

func (c *container) openStreams(r *protocol.CreateRequest, files map[protocol.FileRole]*os.File) (childFiles, error) {
	if r.Bound {
		return boundStreams(files)
	}
	if r.Terminal {
		c.stdio = &stdio{outputs: map[protocol.FileRole]*output{}}
		return childFiles{}, nil
	}
	var child childFiles
	var err error
	c.stdio, child, err = newStdio(c.dir(), r.OpenStdin)
	return child, err
}

// boundStreams are the request's own files, and nothing for those that it has not.
func boundStreams(files map[protocol.FileRole]*os.File) (child childFiles, err error) {
	for role, f := range map[protocol.FileRole]**os.File{
		protocol.FileStdin: &child.stdin, protocol.FileStdout: &child.stdout, protocol.FileStderr: &child.stderr,
	} {
		if *f = files[role]; *f != nil {
			continue
		}
		if *f, err = openBlocking(os.DevNull, unix.O_RDWR); err != nil {
			return child, err
		}
	}
	return child, nil
}

func (c *container) startInit(r *protocol.CreateRequest, root string, netns *os.File, child childFiles) error {
	plan, err := c.shim.plan(r, root, netns)
	if err != nil {
		return err
	}
	process, err := c.newProcess(plan)
	if err != nil {
		return err
	}
	defer process.close()
	if !r.Terminal {
		process.Stdin, process.Stdout, process.Stderr = child.stdin, child.stdout, child.stderr
	} else if err := process.wantConsole(r.ConsoleSize); err != nil {
		return err
	}
	process.Init = true
	if c.init, err = libcontainer.Create(c.shim.cfg.Dir.States(), c.id, plan.config); err != nil {
		return fmt.Errorf("cannot create container %s: %w", c.id, err)
	}
	c.shim.starts.RLock()
	defer c.shim.starts.RUnlock()
	if err := process.start(c.init); err != nil {
		return errors.Join(err, c.init.Destroy())
	}
	return c.watchInit(r, process)
}

// watchInit takes the new process into care: its exit, its streams, its number.
func (c *container) watchInit(r *protocol.CreateRequest, p *process) (err error) {
	c.pid, _ = p.Pid()
	defer func() {
		if err != nil && c.process == nil {
			_ = c.init.Destroy() // kills a created container
		}
	}()
	if c.startTime, err = pidfd.StartTime(c.pid); err != nil {
		return err
	}
	if r.Terminal {
		console, err := p.console()
		if err != nil {
			return err
		}
		if err := c.stdio.setConsole(console); err != nil {
			return err
		}
	}
	log, err := c.openLog(r)
	if err != nil {
		return err
	}
	process, err := pidfd.Open(c.pid)
	if err != nil {
		return err
	}
	c.process, c.executed = process, p.takeExecuted()
	if c.stdio != nil {
		c.stdio.run(log)
	}
	c.setStatus(protocol.Created)
	go c.awaitExit()
	return nil
}

func (c *container) openLog(r *protocol.CreateRequest) (Log, error) {
	if r.Log == nil || c.stdio == nil {
		return nil, nil
	}
	return c.shim.cfg.NewLog(*r.Log)
}

// start executes the command.
func (c *container) start() error {
	c.op.Lock()
	defer c.op.Unlock()
	if err := c.expect("start", protocol.Created); err != nil {
		return err
	}
	running := step{Status: protocol.Running, At: time.Now().UTC()}
	if err := c.note(running); err != nil {
		return err
	}
	if err := c.init.Exec(); err != nil {
		return fmt.Errorf("cannot start container %s: %w", c.id, err)
	}
	err := c.awaitExecuted()
	c.mu.Lock()
	c.failed = err != nil
	c.startedAt = running.At
	if c.status == protocol.Created {
		c.status = protocol.Running
	}
	c.mu.Unlock()
	if err != nil {
		<-c.done
	}
	return err
}

func (c *container) awaitExecuted() error {
	if c.executed == nil {
		return nil
	}
	defer c.executed.Close()
	return startError(c.command, stub.Wait(c.executed))
}

// startError explains why a command could not be executed, with Docker's exit codes.
func startError(command string, err error) error {
	if err == nil {
		return nil
	}
	e := &protocol.Error{Kind: protocol.NoStart, Code: 126}
	var failed *stub.Error
	switch isStub := errors.As(err, &failed); {
	case !isStub:
		return err
	case failed.Doing != "":
		e.Code = 125
		e.Text = fmt.Sprintf("cannot start %q: %v", command, err)
	case failed.Errno == syscall.ENOENT:
		e.Code = 127
		e.Text = fmt.Sprintf("cannot execute %q: no such file or directory", command)
		if filepath.Base(command) == command {
			e.Text = fmt.Sprintf("cannot execute %q: executable file not found in $PATH", command)
		}
	default:
		e.Text = fmt.Sprintf("cannot execute %q: %v", command, failed.Errno)
	}
	return e
}

// isGone tells whether something was not there.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
