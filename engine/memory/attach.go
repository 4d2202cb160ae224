package memory

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
)

// defaultDetachKeys are Docker's: ctrl-p, ctrl-q.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// detachKeys reads "ctrl-p,ctrl-q" or single characters.
func detachKeys(text string) ([]byte, error) {
	var keys []byte
	for _, key := range strings.Split(first(text, defaultDetachKeys), ",") {
		letter, ctrl := strings.CutPrefix(key, "ctrl-")
		if len(letter) != 1 {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot detach with the keys %q: %q is no key", text, key)
		}
		if ctrl {
			keys = append(keys, letter[0]&0x1f)
		} else {
			keys = append(keys, letter[0])
		}
	}
	return keys, nil
}

// ContainerAttach implements engine.Containers.
func (e *Engine) ContainerAttach(ctx context.Context, ref string, opts engine.AttachOptions) error {
	keys, err := detachKeys(opts.DetachKeys)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var c *ctr
	var reading *attached
	err = e.locked(ctx, "ContainerAttach", ref, func(found *ctr) error {
		c, reading = found, found.log.attach(opts.Logs)
		e.event(c, events.ActionAttach, nil)
		return nil
	})
	if err != nil {
		return err
	}
	defer c.log.detach(reading)
	if opts.Attached != nil {
		opts.Attached()
	}
	if opts.Stdin != nil && c.config.OpenStdin {
		go e.typeInto(ctx, c, opts.Stdin, keys, cancel)
	}
	err = deliverOutput(ctx, reading, opts)
	if context.Cause(ctx) == errDetached {
		return nil
	}
	return err
}

var errDetached = engine.Errorf(engine.ErrConflict, "detached")

// typeInto passes on what the caller types, until the keys to detach.
func (e *Engine) typeInto(ctx context.Context, c *ctr, from io.Reader, keys []byte, cancel context.CancelCauseFunc) {
	buf := make([]byte, 4096)
	var held []byte // what may become the keys
	for {
		n, err := from.Read(buf)
		if ctx.Err() != nil {
			return
		}
		data := append(held, buf[:n]...)
		held = nil
		if c.config.Tty {
			if at := bytes.Index(data, keys); at >= 0 {
				e.input(c, data[:at])
				cancel(errDetached)
				return
			}
			if len(keys) > 1 && bytes.HasSuffix(data, keys[:1]) {
				data, held = data[:len(data)-1], bytes.Clone(keys[:1])
			}
		}
		e.input(c, data)
		if err != nil {
			if c.config.StdinOnce {
				e.endInput(c)
			}
			return
		}
	}
}

// input hands it to the process, or keeps it for the one that will be started.
func (e *Engine) input(c *ctr, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := c.run
	switch {
	case len(data) == 0:
	case r == nil:
		c.early = append(c.early, data...)
	case r.screen != nil:
		r.screen.typed(data)
	default:
		r.stdin.push(data)
	}
}

func (e *Engine) endInput(c *ctr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := c.run
	if r == nil {
		c.earlyEnd = true
		return
	}
	r.stdin.close()
}

// deliverOutput copies what the process writes until it ends or ctx is done. The streams are told apart but their order
// among each other is not kept.
func deliverOutput(ctx context.Context, from *attached, opts engine.AttachOptions) error {
	stop := context.AfterFunc(ctx, func() {
		from.output.close()
		from.stderr.close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(discard(opts.Stderr), from.stderr)
	}()
	_, err := io.Copy(discard(opts.Stdout), from.output)
	<-done
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// execution is a further process in a container.
type execution struct {
	id      string
	ctr     *ctr
	opts    container.ExecOptions
	control *control
	stdin   *pipe
	screen  *terminal
	pid     int
	started bool
	running bool
	code    int
}

// ExecCreate implements engine.Execs.
func (e *Engine) ExecCreate(ctx context.Context, ref string, opts container.ExecOptions) (string, error) {
	var id string
	err := e.locked(ctx, "ExecCreate", ref, func(c *ctr) error {
		if c.run == nil || c.state == container.StatePaused {
			return engine.Errorf(engine.ErrConflict, "cannot execute in container %s: it is %s", ref, c.state)
		}
		if len(opts.Cmd) == 0 {
			return engine.Errorf(engine.ErrInvalid, "cannot execute in container %s: no command", ref)
		}
		id = e.newID("exec")
		x := &execution{id: id, ctr: c, opts: *copied(&opts), control: newControl(), stdin: newPipe()}
		e.execs[id] = x
		e.event(c, events.Action(string(events.ActionExecCreate)+": "+strings.Join(opts.Cmd, " ")), map[string]string{"execID": id})
		return nil
	})
	return id, err
}

func (e *Engine) exec(ctx context.Context, op, id string) (*execution, error) {
	if err := e.enter(ctx, op, id); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.execs[id]; x != nil {
		return x, nil
	}
	return nil, engine.Errorf(engine.ErrNotFound, "cannot find exec %s: no such exec", id)
}

// ExecInspect implements engine.Execs.
func (e *Engine) ExecInspect(ctx context.Context, id string) (container.ExecInspect, error) {
	x, err := e.exec(ctx, "ExecInspect", id)
	if err != nil {
		return container.ExecInspect{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return container.ExecInspect{ExecID: x.id, ContainerID: x.ctr.id, Running: x.running, ExitCode: x.code, Pid: x.pid}, nil
}

// ExecResize implements engine.Execs.
func (e *Engine) ExecResize(ctx context.Context, id string, opts container.ResizeOptions) error {
	x, err := e.exec(ctx, "ExecResize", id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.screen != nil {
		x.screen.resize(opts.Width, opts.Height)
	}
	return nil
}

// ExecStart implements engine.Execs.
func (e *Engine) ExecStart(ctx context.Context, id string, detach bool, opts engine.AttachOptions) error {
	x, err := e.exec(ctx, "ExecStart", id)
	if err != nil {
		return err
	}
	output := &attached{output: newPipe(), stderr: newPipe()}
	if err := e.startExec(x, output); err != nil {
		return err
	}
	if detach {
		return nil
	}
	if opts.Attached != nil {
		opts.Attached()
	}
	if opts.Stdin != nil && x.opts.AttachStdin {
		go x.typed(opts.Stdin)
	} else {
		x.stdin.close()
	}
	return deliverOutput(ctx, output, opts)
}

func (x *execution) typed(from io.Reader) {
	defer x.stdin.close()
	if x.screen == nil {
		_, _ = io.Copy(x.stdin, from)
		return
	}
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		x.screen.typed(buf[:n])
		if err != nil {
			return
		}
	}
}

// startExec begins to run it. The output is closed when it has exited and that is recorded.
func (e *Engine) startExec(x *execution, output *attached) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := x.ctr.run
	if r == nil || x.started {
		return engine.Errorf(engine.ErrConflict, "cannot start exec %s: it was started before, or its container is not running", x.id)
	}
	p := e.process(x.ctr, r)
	p.Args, p.Dir, p.control = x.opts.Cmd, first(x.opts.WorkingDir, x.ctr.config.WorkingDir, "/"), x.control
	p.Env = environ([]string{"PATH=/bin:/usr/bin"}, x.ctr.config.Env, x.opts.Env)
	p.Signals, p.Killed = x.control.signals, x.control.killed
	p.Stdin, p.Stdout, p.Stderr = x.stdin, output.output, output.stderr
	if x.opts.Tty {
		x.screen = newTerminal(output.output, x.stdin)
		p.screen, p.Stdout, p.Stderr = x.screen, x.screen, x.screen
	}
	p.console = r.screen
	uid, err := r.files.user(first(x.opts.User, x.ctr.config.User))
	var program Program
	code := notExecutable
	if err == nil {
		p.UID = uid
		program, code, err = p.lookup(p.Args)
	}
	x.started = true
	if err != nil {
		x.code = code
		return engine.Errorf(engine.ErrInvalid, "cannot execute in container %s: %w", x.ctr.name, err)
	}
	e.serial++
	x.pid, x.running = 1000+e.serial, true
	r.execs[x] = true
	r.jobs.Add(1)
	e.event(x.ctr, events.Action(string(events.ActionExecStart)+": "+strings.Join(x.opts.Cmd, " ")), map[string]string{"execID": x.id})
	go e.liveExec(x, r, p, program, output)
	return nil
}

func (e *Engine) liveExec(x *execution, r *run, p *Process, program Program, output *attached) {
	defer r.jobs.Done()
	code := p.run(program)
	e.mu.Lock()
	delete(r.execs, x)
	x.running, x.code = false, code
	e.event(x.ctr, events.ActionExecDie, map[string]string{"execID": x.id, "exitCode": strconv.Itoa(code)})
	e.mu.Unlock()
	output.output.close()
	output.stderr.close()
}
