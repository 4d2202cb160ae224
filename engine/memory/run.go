package memory

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
)

// Delays between restarts, as Docker's: doubled with every one, until a run lasted long enough.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = time.Minute
	longRun      = 10 * time.Second
)

// defaultStopTimeout is how long a container has to heed its stop signal.
const defaultStopTimeout = 10 * time.Second

// run is one run of a container's process.
type run struct {
	pid     int
	control *control
	done    chan struct{} // closed when the exit is recorded
	stdin   *pipe
	screen  *terminal // nil without one
	box     *sandbox
	files   *vfs
	jobs    sync.WaitGroup
	execs   map[*execution]bool
	forced  int // exit code that Exit asked for, or -1
}

func (r *run) kill() {
	r.control.send(syscall.SIGKILL)
	r.stdin.close()
	for x := range r.execs {
		x.control.send(syscall.SIGKILL)
		x.stdin.close()
	}
}

// ContainerStart implements engine.Containers.
func (e *Engine) ContainerStart(ctx context.Context, ref string) error {
	return e.locked(ctx, "ContainerStart", ref, func(c *ctr) error {
		if c.state == container.StatePaused {
			return engine.Errorf(engine.ErrConflict, "cannot start container %s: it is paused; unpause it instead", ref)
		}
		if c.run != nil {
			return nil
		}
		c.cancelRestart()
		c.manuallyStopped, c.restarts, c.backoff = false, 0, 0
		return e.start(c)
	})
}

// start runs the container's process. On failure everything is given back.
func (e *Engine) start(c *ctr) error {
	if e.closed {
		return engine.Errorf(engine.ErrUnavailable, "cannot start container %s: the engine is closed", c.name)
	}
	r := &run{control: newControl(), done: make(chan struct{}), stdin: newPipe(), execs: map[*execution]bool{}, forced: -1}
	r.files = c.files()
	program, p, code, err := e.prepare(c, r)
	if err == nil {
		if err = e.connectAll(c, r); err != nil {
			code = 125
			e.disconnectAll(c)
		}
	}
	if err != nil {
		c.exitCode, c.failure, c.ended = code, err.Error(), now()
		if c.state != container.StateCreated {
			c.state = container.StateExited
		}
		return err
	}
	e.serial++
	r.pid = 1000 + e.serial
	c.run, c.state, c.started, c.exitCode, c.failure = r, container.StateRunning, now(), 0, ""
	r.stdin.push(c.early)
	if !c.config.OpenStdin || c.earlyEnd {
		r.stdin.close()
	}
	c.early, c.earlyEnd = nil, false
	c.log.begin()
	for _, ep := range c.endpoints {
		e.networkEvent(ep.network, events.ActionConnect, c)
	}
	e.event(c, events.ActionStart, nil)
	e.running.Go(func() { e.live(c, r, p, program) })
	e.watchHealth(c, r)
	c.unready = c.health != nil && c.config.Labels[engine.LabelTakesOver] != ""
	e.claim(c)
	return nil
}

// prepare makes the container's first process. The number is the exit code if it cannot be executed.
func (e *Engine) prepare(c *ctr, r *run) (Program, *Process, int, error) {
	p := e.process(c, r)
	p.Args, p.Env, p.Dir, p.control = c.command(), environ([]string{"PATH=/bin:/usr/bin"}, c.config.Env), first(c.config.WorkingDir, "/"), r.control
	p.Signals, p.Killed = r.control.signals, r.control.killed
	p.Stdin, p.Stdout, p.Stderr = r.stdin, stream{c.log, "stdout"}, stream{c.log, "stderr"}
	if c.config.Tty {
		r.screen = newTerminal(stream{c.log, "stdout"}, r.stdin)
		r.screen.resize(c.host.ConsoleSize[1], c.host.ConsoleSize[0])
		p.screen, p.console, p.Stdout, p.Stderr = r.screen, r.screen, r.screen, r.screen
	}
	uid, err := r.files.user(c.config.User)
	if err != nil {
		return nil, nil, 125, engine.Errorf(engine.ErrInvalid, "cannot start container %s: %w", c.name, err)
	}
	p.UID = uid
	program, code, err := p.lookup(p.Args)
	if err != nil {
		return nil, nil, code, engine.Errorf(engine.ErrInvalid, "cannot start container %s: %w", c.name, err)
	}
	_ = r.files.mkdirAll(p.Dir)
	return program, p, 0, nil
}

// process makes what all processes of a run share.
func (e *Engine) process(c *ctr, r *run) *Process {
	return &Process{engine: e, files: r.files, host: c.config.Hostname, jobs: &r.jobs, box: r.box}
}

// user finds a user's number: "1000", "name", either with a group.
func (v *vfs) user(text string) (int, error) {
	uid, _, err := v.owner(text)
	return uid, err
}

// owner finds a user's number and that of the group.
func (v *vfs) owner(text string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(text, ":")
	if name == "" {
		return 0, 0, nil
	}
	if entry := v.entry("/etc/passwd", name, 4); entry != nil {
		if uid, err = strconv.Atoi(entry[2]); err == nil {
			gid, err = strconv.Atoi(entry[3])
		}
	} else if uid, err = strconv.Atoi(name); err != nil {
		return 0, 0, errors.New("no user " + name + " in /etc/passwd")
	}
	if group == "" || err != nil {
		return uid, gid, err
	}
	if entry := v.entry("/etc/group", group, 3); entry != nil {
		group = entry[2]
	}
	if gid, err = strconv.Atoi(group); err != nil {
		return 0, 0, errors.New("no group " + group + " in /etc/group")
	}
	return uid, gid, nil
}

// entry finds the line of /etc/passwd or /etc/group with the name or the number, of at least so many fields.
func (v *vfs) entry(file, name string, fields int) []string {
	n, _, err := v.stat(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(n.data)) {
		entry := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(entry) >= fields && (entry[0] == name || entry[2] == name) {
			return entry
		}
	}
	return nil
}

// live runs the process to its end and records it.
func (e *Engine) live(c *ctr, r *run, p *Process, program Program) {
	p.box = r.box
	code := p.run(program)
	e.mu.Lock()
	r.kill() // what the first process left behind
	e.mu.Unlock()
	r.jobs.Wait()
	e.exited(c, r, code)
}

func (e *Engine) exited(c *ctr, r *run, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.forced >= 0 {
		code = r.forced
	}
	c.log.end()
	r.box.close()
	connected := e.disconnectAll(c)
	c.run, c.exitCode, c.ended = nil, code, now()
	again := e.shouldRestart(c)
	c.state = container.StateExited
	if again {
		c.state = container.StateRestarting
	}
	e.event(c, events.ActionDie, map[string]string{"exitCode": strconv.Itoa(code)})
	for _, n := range connected {
		e.networkEvent(n, events.ActionDisconnect, c)
	}
	answer(&c.exitWaiters, container.WaitResponse{StatusCode: int64(code)})
	switch {
	case again:
		e.restartLater(c)
	case c.host.AutoRemove:
		e.forget(c, true)
	}
	close(r.done)
}

func (e *Engine) shouldRestart(c *ctr) bool {
	if c.manuallyStopped || e.closed {
		return false
	}
	p := c.host.RestartPolicy
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return c.exitCode != 0 && (p.MaximumRetryCount == 0 || c.restarts < p.MaximumRetryCount)
	}
	return false
}

func (e *Engine) restartLater(c *ctr) {
	if c.backoff *= 2; c.backoff == 0 || c.ended.Sub(c.started) > longRun {
		c.backoff = firstBackoff
	}
	c.backoff = min(c.backoff, lastBackoff)
	c.restarts++
	c.restartTimer = time.AfterFunc(c.backoff, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if c.state == container.StateRestarting && e.containers[c.id] == c {
			_ = e.start(c) // what went wrong is in the container's state
		}
	})
}

// cancelRestart gives up a restart that has not happened yet.
func (c *ctr) cancelRestart() {
	if c.restartTimer != nil {
		c.restartTimer.Stop()
		c.restartTimer = nil
	}
	if c.state == container.StateRestarting {
		c.state = container.StateExited
	}
}

// Exit ends the process of a running container with an exit code, as if it had ended by itself: the restart policy
// applies.
func (e *Engine) Exit(ref string, code int) error {
	return e.locked(context.Background(), "Exit", ref, func(c *ctr) error {
		if c.run == nil {
			return notRunning("end the process of", c)
		}
		c.run.forced = code
		c.run.kill()
		return nil
	})
}

// ContainerStop implements engine.Containers.
func (e *Engine) ContainerStop(ctx context.Context, ref string, opts container.StopOptions) error {
	var stopping *run
	var stopped *ctr
	var timeout time.Duration
	err := e.locked(ctx, "ContainerStop", ref, func(c *ctr) error {
		c.manuallyStopped = true
		c.cancelRestart()
		sig, ok := parseSignal(first(opts.Signal, c.config.StopSignal, "TERM"))
		if !ok {
			return engine.Errorf(engine.ErrInvalid, "cannot stop container %s: invalid signal %q", ref, opts.Signal)
		}
		stopping, stopped, timeout = c.run, c, stopTimeout(c, opts)
		if c.run != nil {
			e.handOver(c)
			e.signal(c, sig)
		}
		return nil
	})
	if err != nil || stopping == nil {
		return err
	}
	if err := e.awaitStop(ctx, stopped, stopping, timeout); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.event(stopped, events.ActionStop, nil)
	return nil
}

func stopTimeout(c *ctr, opts container.StopOptions) time.Duration {
	seconds := opts.Timeout
	if seconds == nil {
		seconds = c.config.StopTimeout
	}
	switch {
	case seconds == nil:
		return defaultStopTimeout
	case *seconds < 0:
		return 1<<63 - 1
	}
	return time.Duration(*seconds) * time.Second
}

func (e *Engine) awaitStop(ctx context.Context, c *ctr, r *run, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	e.mu.Lock()
	if c.run == r {
		e.signal(c, syscall.SIGKILL)
	}
	e.mu.Unlock()
	<-r.done
	return nil
}

// signal sends a signal to the container's process.
func (e *Engine) signal(c *ctr, sig syscall.Signal) {
	e.event(c, events.ActionKill, map[string]string{"signal": strconv.Itoa(int(sig))})
	if sig == syscall.SIGKILL {
		c.run.kill()
		return
	}
	c.run.control.send(sig)
}

// ContainerRestart implements engine.Containers.
func (e *Engine) ContainerRestart(ctx context.Context, ref string, opts container.StopOptions) error {
	if err := e.enter(ctx, "ContainerRestart", ref); err != nil {
		return err
	}
	if err := e.ContainerStop(ctx, ref, opts); err != nil {
		return err
	}
	if err := e.ContainerStart(ctx, ref); err != nil {
		return err
	}
	return e.locked(ctx, "", ref, func(c *ctr) error {
		e.event(c, events.ActionRestart, nil)
		return nil
	})
}

// ContainerKill implements engine.Containers.
func (e *Engine) ContainerKill(ctx context.Context, ref, signal string) error {
	var killed *run
	err := e.locked(ctx, "ContainerKill", ref, func(c *ctr) error {
		sig, ok := parseSignal(first(signal, "KILL"))
		if !ok {
			return engine.Errorf(engine.ErrInvalid, "cannot kill container %s: invalid signal %q", ref, signal)
		}
		if c.run == nil {
			return notRunning("kill", c)
		}
		// Another signal than the one that stops it is no reason to leave it stopped.
		if stop, ok := parseSignal(c.config.StopSignal); !ok || sig == stop || sig == syscall.SIGKILL {
			c.manuallyStopped = true
		}
		if stop, _ := parseSignal(first(c.config.StopSignal, "TERM")); sig == stop || sig == syscall.SIGKILL {
			e.handOver(c)
		}
		if sig == syscall.SIGKILL {
			killed = c.run
		}
		e.signal(c, sig)
		return nil
	})
	if killed != nil {
		<-killed.done
	}
	return err
}

func notRunning(what string, c *ctr) error {
	return engine.Errorf(engine.ErrConflict, "cannot %s container %s: it is not running", what, c.name)
}

// ContainerPause implements engine.Containers. Only the state changes.
func (e *Engine) ContainerPause(ctx context.Context, ref string) error {
	return e.locked(ctx, "ContainerPause", ref, func(c *ctr) error {
		if c.state != container.StateRunning {
			return notRunning("pause", c)
		}
		c.state = container.StatePaused
		e.event(c, events.ActionPause, nil)
		return nil
	})
}

// ContainerUnpause implements engine.Containers.
func (e *Engine) ContainerUnpause(ctx context.Context, ref string) error {
	return e.locked(ctx, "ContainerUnpause", ref, func(c *ctr) error {
		if c.state != container.StatePaused {
			return engine.Errorf(engine.ErrConflict, "cannot unpause container %s: it is not paused", ref)
		}
		c.state = container.StateRunning
		e.event(c, events.ActionUnPause, nil)
		return nil
	})
}

// ContainerResize implements engine.Containers.
func (e *Engine) ContainerResize(ctx context.Context, ref string, opts container.ResizeOptions) error {
	return e.locked(ctx, "ContainerResize", ref, func(c *ctr) error {
		if c.run == nil {
			return notRunning("resize the terminal of", c)
		}
		if c.run.screen != nil {
			c.run.screen.resize(opts.Width, opts.Height)
		}
		return nil
	})
}

// ContainerTop implements engine.Containers. There is one process.
func (e *Engine) ContainerTop(ctx context.Context, ref string, _ []string) (container.TopResponse, error) {
	var top container.TopResponse
	err := e.locked(ctx, "ContainerTop", ref, func(c *ctr) error {
		if c.run == nil {
			return notRunning("list the processes of", c)
		}
		top.Titles = []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}
		top.Processes = [][]string{{"root", strconv.Itoa(c.run.pid), "1", "0", c.started.Format("15:04"), "?", "00:00:00", strings.Join(c.command(), " ")}}
		return nil
	})
	return top, err
}

// ContainerStats implements engine.Containers. Nothing is used.
func (e *Engine) ContainerStats(ctx context.Context, ref string) (container.StatsResponse, error) {
	var stats container.StatsResponse
	err := e.locked(ctx, "ContainerStats", ref, func(c *ctr) error {
		stats.ID, stats.Name, stats.Read = c.id, "/"+c.name, now()
		return nil
	})
	return stats, err
}

// discard is where output goes that nobody wants.
func discard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
