package embedded

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// rememberedExecs is how many execs that are over can still be inspected, per container.
const rememberedExecs = 64

// execution is a further process of a container, before, while and after it runs.
type execution struct {
	id, container string
	options       dockercontainer.ExecOptions

	mu      sync.Mutex
	started bool
	running bool
	code    int
	pid     int
}

func (x *execution) inspect() dockercontainer.ExecInspect {
	x.mu.Lock()
	defer x.mu.Unlock()
	return dockercontainer.ExecInspect{ExecID: x.id, ContainerID: x.container, Running: x.running, ExitCode: x.code, Pid: x.pid}
}

// over notes the end. It reports false if that was known.
func (x *execution) over(code int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	was := x.running
	if was {
		x.running, x.code, x.pid = false, code, 0
	}
	return was
}

// execTable knows the execs of the containers that run. They are not stored.
type execTable struct {
	mu          sync.Mutex
	all         map[string]*execution
	byContainer map[string][]string // in the order of their creation
}

func (t *execTable) add(x *execution) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all, t.byContainer = map[string]*execution{}, map[string][]string{}
	}
	t.all[x.id] = x
	ids := append(t.byContainer[x.container], x.id)
	if len(ids) > rememberedExecs {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			old := t.all[id]
			forget := len(t.all) > rememberedExecs && old.started && !old.inspect().Running
			if forget {
				delete(t.all, id)
			}
			return forget
		})
	}
	t.byContainer[x.container] = ids
}

func (t *execTable) find(id string) (*execution, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.all[id]; x != nil {
		return x, nil
	}
	return nil, engine.Errorf(engine.ErrNotFound, "no such exec: %s", id)
}

// ids lists the container's execs that are not over.
func (t *execTable) ids(containerID string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []string
	for _, id := range t.byContainer[containerID] {
		if now := t.all[id].inspect(); now.Running {
			ids = append(ids, id)
		}
	}
	return ids
}

func (t *execTable) dropContainer(containerID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.byContainer[containerID] {
		delete(t.all, id)
	}
	delete(t.byContainer, containerID)
}

// ExecCreate implements engine.Execs.
func (e *Engine) ExecCreate(ctx context.Context, ref string, opts dockercontainer.ExecOptions) (string, error) {
	e.migration.announce()
	c, err := e.find(ref)
	if err != nil {
		return "", err
	}
	record := c.Record()
	if err := checkRuns(&record, "run a command in"); err != nil {
		return "", err
	}
	if len(opts.Cmd) == 0 || opts.Cmd[0] == "" {
		return "", engine.Errorf(engine.ErrInvalid, "cannot run a command in container %s: no command specified", record.Name)
	}
	if _, err := detachKeys(opts.DetachKeys); err != nil {
		return "", err
	}
	x := &execution{id: newID(), container: c.ID, options: opts}
	e.execs.add(x)
	e.execEvent(&record, x, events.ActionExecCreate)
	return x.id, nil
}

// checkRuns returns an error that says what cannot be done unless the container runs and is not paused.
func checkRuns(r *container.Record, what string) error {
	switch r.State.Phase {
	case lifecycle.Running:
		return nil
	case lifecycle.Paused:
		return engine.Errorf(engine.ErrConflict, "cannot %s container %s: container is paused, unpause it first", what, r.Name)
	default:
		return engine.Errorf(engine.ErrConflict, "cannot %s container %s: container %s is not running", what, r.Name, r.ID)
	}
}

func (e *Engine) execEvent(r *container.Record, x *execution, action events.Action) {
	command := strings.Join(x.options.Cmd, " ")
	e.containerEvent(r, events.Action(string(action)+": "+command), "execID", x.id)
}

// ExecStart implements engine.Execs.
func (e *Engine) ExecStart(ctx context.Context, id string, detach bool, opts engine.AttachOptions) error {
	x, err := e.execs.find(id)
	if err != nil {
		return err
	}
	record, err := e.record(x.container)
	if err != nil {
		return err
	}
	if err := checkRuns(&record, "run a command in"); err != nil {
		return err
	}
	keys, err := detachKeys(cmp.Or(opts.DetachKeys, x.options.DetachKeys))
	if err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	status, err := e.runtime.Exec(ctx, x.container, x.config(detach, keys), x.streams(opts, detach), func(pid int) {
		x.mu.Lock()
		x.pid = pid
		x.mu.Unlock()
		e.execEvent(&record, x, events.ActionExecStart)
	})
	failed := new(runtime.StartError)
	switch {
	case errors.As(err, &failed):
		x.over(failed.Code)
		return err
	case errors.Is(err, runtime.ErrDetached):
		e.containerEvent(&record, events.ActionExecDetach, "execID", x.id)
		return nil
	case err != nil && ctx.Err() == nil:
		x.over(126)
		return err
	case err != nil || detach:
		return err // it goes on; the runtime tells of its end
	}
	e.execOver(&record, x, status.Code)
	return nil
}

func (x *execution) begin() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.started {
		return engine.Errorf(engine.ErrConflict, "exec %s has already run", x.id)
	}
	x.started, x.running = true, true
	return nil
}

func (x *execution) config(detach bool, keys []byte) runtime.ExecConfig {
	o := x.options
	cfg := runtime.ExecConfig{ExecID: x.id, Args: o.Cmd, Env: o.Env, Cwd: o.WorkingDir, User: o.User, Tty: o.Tty, Privileged: o.Privileged, Detach: detach}
	if o.Tty {
		cfg.DetachKeys = keys
	}
	if o.ConsoleSize != nil {
		cfg.Size = *o.ConsoleSize
	}
	if o.Tty && !slices.ContainsFunc(o.Env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		cfg.Env = append([]string{"TERM=xterm"}, o.Env...)
	}
	return cfg
}

func (x *execution) streams(opts engine.AttachOptions, detach bool) runtime.Streams {
	s := streams(opts)
	if detach || !x.options.AttachStdin {
		s.Stdin = nil
	}
	if detach || !x.options.AttachStdout {
		s.Stdout = nil
	}
	if detach || !x.options.AttachStderr || x.options.Tty {
		s.Stderr = nil
	}
	return s
}

// execOver notes the end of an exec and tells everybody, once.
func (e *Engine) execOver(r *container.Record, x *execution, code int) {
	if x.over(code) {
		e.containerEvent(r, events.ActionExecDie, "execID", x.id, "exitCode", strconv.Itoa(code))
	}
}

// execExited is told by the runtime that an exec is over.
func (e *Engine) execExited(event runtime.Event) {
	x, err := e.execs.find(event.ExecID)
	if err != nil {
		return // a health probe
	}
	if c := e.containers.Get(x.container); c != nil {
		record := c.Record()
		e.execOver(&record, x, event.Status.Code)
	}
}

// ExecInspect implements engine.Execs.
func (e *Engine) ExecInspect(ctx context.Context, id string) (dockercontainer.ExecInspect, error) {
	x, err := e.execs.find(id)
	if err != nil {
		return dockercontainer.ExecInspect{}, err
	}
	return x.inspect(), nil
}

// ExecResize implements engine.Execs.
func (e *Engine) ExecResize(ctx context.Context, id string, opts dockercontainer.ResizeOptions) error {
	x, err := e.execs.find(id)
	if err != nil {
		return err
	}
	if !x.inspect().Running {
		return engine.Errorf(engine.ErrConflict, "cannot resize the terminal of exec %s: it does not run", id)
	}
	return e.runtime.Resize(ctx, x.container, x.id, opts.Width, opts.Height)
}
