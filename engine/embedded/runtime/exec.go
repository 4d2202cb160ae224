package runtime

import (
	"context"
	"os"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// execution is a further process while it runs.
type execution struct {
	container *container
	id        string
	pid       int
	pidfd     *os.File // tells of its end if the shim cannot
	console   *os.File
	exited    chan ExitStatus // gets one value
}

// Exec runs a further process and returns when it has exited and its output was delivered (with cfg.Detach: when it was
// executed, the ExecExited event comes later). started, if not nil, is called with its pid once it was executed. A
// *StartError says that it could not be executed. When ctx ends, Exec returns and the process goes on; what it writes is
// dropped. ErrConflict: the container does not run, or the exec's ID is in use.
func (r *Runtime) Exec(ctx context.Context, id string, cfg ExecConfig, s Streams, started func(pid int)) (ExitStatus, error) {
	c, err := r.container(id)
	if err != nil {
		return ExitStatus{}, err
	}
	if err := ctx.Err(); err != nil {
		return ExitStatus{}, err
	}
	e := &execution{container: c, id: cfg.ExecID, exited: make(chan ExitStatus, 1)}
	if err := c.addExec(e); err != nil {
		return ExitStatus{}, err
	}
	p, err := e.start(cfg, s)
	if err != nil {
		c.removeExec(e)
		return ExitStatus{}, err
	}
	if started != nil {
		started(e.pid)
	}
	if s.Attached != nil && !cfg.Detach {
		s.Attached()
	}
	if cfg.Detach {
		e.leave(p)
		return ExitStatus{}, nil
	}
	return e.wait(ctx, p, e.feed(p, cfg, s))
}

func (c *container) addExec(e *execution) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.execs[e.id] != nil {
		return engine.Errorf(engine.ErrConflict, "exec %s of container %s exists already", e.id, c.id)
	}
	c.execs[e.id] = e
	return nil
}

func (c *container) removeExec(e *execution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.execs[e.id] == e {
		delete(c.execs, e.id)
	}
	protocol.CloseAll([]*os.File{e.pidfd, e.console})
	e.pidfd, e.console = nil, nil
}

// execEnded hands the status to whoever waits. It returns false if the end was known already.
func (c *container) execEnded(id string, exit ExitStatus) bool {
	c.mu.Lock()
	e := c.execs[id]
	c.mu.Unlock()
	if e == nil {
		return true // of an earlier engine's
	}
	c.removeExec(e)
	select {
	case e.exited <- exit:
		return true
	default:
		return false
	}
}

// start has the shim execute the process, with pipes of ours as its streams.
func (e *execution) start(cfg ExecConfig, s Streams) (*pumps, error) {
	p := &pumps{}
	if !cfg.Tty && !cfg.Detach {
		for _, err := range []error{
			p.input(s.Stdin), p.output(protocol.FileStdout, s.Stdout), p.output(protocol.FileStderr, s.Stderr),
		} {
			if err != nil {
				p.close()
				return nil, err
			}
		}
	}
	var reply protocol.ExecReply
	files, err := e.container.group.call(protocol.MethodExec, protocol.ExecRequest{
		Ref: protocol.Ref{ID: e.container.id, Exec: e.id}, Args: cfg.Args, Env: cfg.Env, Cwd: cfg.Cwd, User: cfg.User,
		Tty: cfg.Tty, Size: cfg.Size, Privileged: cfg.Privileged, Files: p.roles,
	}, &reply, p.theirs...)
	p.sent()
	if err == nil {
		err = e.take(reply, files, p, s)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.start()
	return p, nil
}

// take keeps the files that came with the process.
func (e *execution) take(reply protocol.ExecReply, files []*os.File, p *pumps, s Streams) error {
	byRole, err := protocol.ByRole(reply.Files, files)
	if err != nil {
		return err
	}
	console := byRole[protocol.FileConsole]
	if console != nil {
		copied, err := protocol.Duplicate(console)
		if err != nil {
			protocol.CloseAll(files)
			return err
		}
		if err := p.read(copied, s.Stdout); err != nil {
			protocol.CloseAll(files)
			return err
		}
	}
	c := e.container
	c.mu.Lock()
	defer c.mu.Unlock()
	e.pid = reply.Pid
	if c.execs[e.id] != e { // it has ended already
		protocol.CloseAll(files)
		return nil
	}
	e.pidfd, e.console = byRole[protocol.FilePidfd], console
	return nil
}

// feed copies the caller's input. The channel is closed when the user detaches; without a terminal there is none.
func (e *execution) feed(p *pumps, cfg ExecConfig, s Streams) <-chan struct{} {
	if s.Stdin == nil {
		return nil
	}
	if !cfg.Tty {
		stdin := p.stdin
		feed(stdin, s.Stdin, func() { stdin.Close() })
		return nil
	}
	if len(p.ours) == 0 {
		return nil
	}
	k := newKeyReader(s.Stdin, cfg.DetachKeys)
	feed(p.ours[0], k, func() {})
	return k.detached
}

// wait returns when the process has ended and its output was copied, or the caller goes away.
func (e *execution) wait(ctx context.Context, p *pumps, detached <-chan struct{}) (exit ExitStatus, err error) {
	select {
	case exit = <-e.exited:
		p.end()
		p.close()
		return exit, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-e.container.group.runtime.closing:
		err = errClosed
	case <-detached:
		err = ErrDetached
	}
	e.leave(p)
	return ExitStatus{}, err
}

// leave lets the process go on without anybody who wants its output. It must not get stuck in a full pipe.
func (e *execution) leave(p *pumps) {
	p.abandon()
	go func() {
		<-e.exited
		p.end()
		p.close()
	}()
}

// watchAlone waits for the process's end without a shim. The caller holds the container's mu.
func (e *execution) watchAlone() {
	if e.pidfd == nil {
		return
	}
	f := e.pidfd
	e.pidfd = nil
	go func() {
		p, err := pidfd.FromFile(e.pid, f)
		if err != nil {
			e.container.execEnded(e.id, pidfd.Exit(0, err))
			return
		}
		defer p.Close()
		exit := pidfd.Exit(p.Wait())
		if e.container.execEnded(e.id, exit) && !e.container.bound {
			e.container.group.runtime.events.put(Event{Kind: ExecExited, ID: e.container.id, ExecID: e.id, Status: exit})
		}
	}()
}
