package shim

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
	"stackrun.dev/stack/engine/embedded/shim/stub"
)

// newPid is libcontainer's name of the namespace of process numbers.
const newPid = configs.NEWPID

// exec runs a further process. Its streams are the request's files, so that no byte passes through the shim.
func (s *Shim) exec(r protocol.ExecRequest, files []*os.File, out *attached) (any, error) {
	byRole, err := protocol.ByRole(r.Files, files)
	if err != nil {
		return nil, err
	}
	defer protocol.CloseAll(files)
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	if len(r.Args) == 0 {
		return nil, protocol.Errorf(protocol.Invalid, "there is no command to run")
	}
	if err := c.expect("run a command in", protocol.Running); err != nil {
		return nil, err
	}
	plan, user, err := c.execPlan(&r)
	if err != nil {
		return nil, err
	}
	p, err := c.newProcess(plan)
	if err != nil {
		return nil, err
	}
	defer p.close()
	p.UID, p.GID, p.AdditionalGroups = user.UID, user.GID, user.Groups
	p.Env = withHome(plan.process.Env, user.Home)
	return c.startExec(&r, p, byRole, out)
}

func (c *container) startExec(r *protocol.ExecRequest, p *process, files map[protocol.FileRole]*os.File, out *attached) (any, error) {
	if r.Tty {
		if err := p.wantConsole(r.Size); err != nil {
			return nil, err
		}
	} else {
		child, err := boundStreams(files)
		if err != nil {
			return nil, err
		}
		defer child.close()
		p.Stdin, p.Stdout, p.Stderr = child.stdin, child.stdout, child.stderr
	}
	process, err := c.startSetns(r, p)
	if err != nil {
		return nil, err
	}
	if err := startError(r.Args[0], stub.Wait(p.executed)); err != nil {
		c.mu.Lock()
		delete(c.execs, r.Exec)
		c.mu.Unlock()
		_, _ = process.Wait() // it exits by itself; the error says how
		process.Close()
		return nil, err
	}
	if r.Tty {
		console, err := p.console()
		if err != nil {
			return nil, err
		}
		out.add(protocol.FileConsole, console)
		console.Close()
	}
	out.add(protocol.FilePidfd, process.File())
	go c.watchExec(r.Exec, process)
	return protocol.ExecReply{Pid: process.Pid, Files: out.roles}, nil
}

// startSetns starts the process and makes it one that is waited for.
func (c *container) startSetns(r *protocol.ExecRequest, p *process) (*pidfd.Process, error) {
	c.freezing.RLock()
	defer c.freezing.RUnlock()
	if err := c.expect("run a command in", protocol.Running); err != nil {
		return nil, err
	}
	c.shim.starts.RLock()
	defer c.shim.starts.RUnlock()
	if err := p.start(c.init); err != nil {
		if len(p.ExtraFiles) == 0 {
			err = explainSetns(r.Args[0], err)
		}
		return nil, err
	}
	pid, err := p.Pid()
	if err != nil {
		return nil, err
	}
	process, err := pidfd.Open(pid)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.execs[r.Exec] = process
	c.mu.Unlock()
	return process, nil
}

// explainSetns finds in libcontainer's words what Docker has exit codes for; the stub would have told.
func explainSetns(command string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory"):
		return startError(command, &stub.Error{Errno: syscall.ENOENT})
	case strings.Contains(text, "permission denied"):
		return startError(command, &stub.Error{Errno: syscall.EACCES})
	}
	return err
}

// execPlan is the container's own process with the request's changes.
func (c *container) execPlan(r *protocol.ExecRequest) (*plan, identity, error) {
	rec, err := c.shim.readRecord(c.id)
	if err != nil {
		return nil, identity{}, err
	}
	spec := rec.Request.Spec
	process := spec.Process
	remounts := mayRemount(spec)
	process.Args = r.Args
	process.Env = append(process.Env, r.Env...)
	if r.Cwd != "" {
		process.Cwd = r.Cwd
	}
	if r.Privileged {
		process.Capabilities, process.NoNewPrivileges, process.ApparmorProfile = allCapabilities(), false, ""
	}
	user := *rec.User
	if r.User != "" {
		if user, err = c.lookUp(r.User, rec.Request.GroupAdd, &process.User); err != nil {
			return nil, user, err
		}
	}
	p := &plan{process: process}
	if remounts {
		// The stub is executed through the container's /proc. Who can replace that gets no stub.
		p.caps = configCapabilities(process.Capabilities)
		return p, user, nil
	}
	p.stub, p.caps, err = c.shim.stubFor(spec, spec.Linux.Seccomp, false)
	return p, user, err
}

// lookUp resolves a user in the running container's root.
func (c *container) lookUp(name string, groups []string, fallback *specs.User) (identity, error) {
	root, err := c.process.OpenProc("root", os.O_RDONLY)
	if err != nil {
		return identity{}, err
	}
	defer root.Close()
	return resolveUser(root, name, groups, fallback)
}

func allCapabilities() *specs.LinuxCapabilities {
	var all []string
	if known, err := capability.ListSupported(); err == nil {
		for _, c := range known {
			all = append(all, capabilityName(c))
		}
	}
	return &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
}

func (c *container) signalExec(id string, sig syscall.Signal) error {
	c.mu.Lock()
	p := c.execs[id]
	c.mu.Unlock()
	if p == nil {
		return protocol.Errorf(protocol.NotFound, "exec %s of container %s does not run", id, c.id)
	}
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
