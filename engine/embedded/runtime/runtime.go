package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
	"stackrun.dev/stack/engine/embedded/shim/protocol/rootfs"
)

// Runtime starts, watches and ends containers. Its methods may be called from several goroutines.
type Runtime struct {
	opts    Options
	program func() (*os.File, error) // the shim's, loaded when it is needed
	events  *queue
	closing chan struct{} // closed by Close

	mu         sync.Mutex
	closed     bool
	groups     map[string]*group
	containers map[string]*container
	names      protocol.Names
}

// Open connects to the shims that run and has dead ones replaced. Afterwards List tells what runs and what exited
// while nobody looked; OnEvent is not called for that. Containers that were created but not started are deleted: the
// engine that was about to start them is gone.
func Open(ctx context.Context, opts Options) (*Runtime, error) {
	for _, dir := range []string{opts.RunDir, opts.StateDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	r := &Runtime{
		opts: opts, program: sync.OnceValues(sealedProgram), events: newQueue(opts.OnEvent),
		groups: map[string]*group{}, containers: map[string]*container{}, names: protocol.Names{},
		closing: make(chan struct{}),
	}
	dirs, err := protocol.GroupDirs(opts.RunDir)
	if err != nil {
		return nil, err
	}
	var all errgroup.Group
	all.SetLimit(8)
	for _, dir := range dirs {
		all.Go(func() error { return r.find(ctx, dir) })
	}
	if err := all.Wait(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// find connects to the shim of a directory.
func (r *Runtime) find(ctx context.Context, dir protocol.Dir) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, err := os.ReadFile(dir.Group())
	if errors.Is(err, os.ErrNotExist) {
		return nil // a shim at its end
	}
	if err != nil {
		return err
	}
	g := r.group(string(name))
	if _, err := g.acquire(); err != nil {
		return fmt.Errorf("cannot find the containers of %s: %w", name, err)
	}
	g.release()
	for _, c := range r.of(g) {
		if c.status() != Created {
			continue
		}
		if err := r.Delete(ctx, c.id); err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
	}
	return nil
}

// errClosed is what calls get that are under way when the runtime is closed.
var errClosed = engine.Errorf(engine.ErrUnavailable, "the engine is about to end")

// Close leaves the containers and their shims alone. Shims without running containers end. Calls that wait return.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.closing)
	groups, containers := r.groups, r.containers
	r.groups, r.containers = map[string]*group{}, map[string]*container{}
	r.mu.Unlock()
	for _, g := range groups {
		g.use.Lock()
		if g.idle != nil {
			g.idle.Stop()
		}
		g.use.Unlock()
		g.disconnect()
	}
	for _, c := range containers {
		c.mu.Lock()
		c.drop()
		c.mu.Unlock()
	}
	r.events.close()
	return nil
}

func (r *Runtime) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// group finds or makes the group.
func (r *Runtime) group(name string) *group {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[name]
	if g == nil {
		g = &group{runtime: r, name: name, pushed: map[string]bool{}}
		r.groups[name] = g
	}
	return g
}

func (r *Runtime) container(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, engine.Errorf(engine.ErrNotFound, "container %s is not known to the runtime", id)
	}
	return c, nil
}

func (r *Runtime) add(c *container) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return engine.Errorf(engine.ErrUnavailable, "cannot create container %s: the engine is about to end", c.id)
	}
	if r.containers[c.id] != nil {
		return engine.Errorf(engine.ErrConflict, "container %s exists already", c.id)
	}
	r.containers[c.id] = c
	return nil
}

func (r *Runtime) remove(c *container) {
	r.mu.Lock()
	if r.containers[c.id] == c {
		delete(r.containers, c.id)
	}
	r.mu.Unlock()
	c.mu.Lock()
	c.drop()
	c.mu.Unlock()
	c.group.use.Lock()
	c.group.considerIdle()
	c.group.use.Unlock()
}

// of lists the group's containers.
func (r *Runtime) of(g *group) (out []*container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if c.group == g {
			out = append(out, c)
		}
	}
	return out
}

// alive lists those that have not stopped.
func (r *Runtime) alive(g *group) []*container {
	return slices.DeleteFunc(r.of(g), func(c *container) bool { return c.status() == Stopped })
}

// reconcile takes over what a shim says. A container that it does not know is gone.
func (r *Runtime) reconcile(g *group, states []protocol.State) {
	told := map[string]bool{}
	for _, state := range states {
		told[state.ID] = true
		r.mu.Lock()
		c := r.containers[state.ID]
		known := c != nil
		if !known {
			c = newContainer(state.ID, g)
			r.containers[state.ID] = c
		}
		r.mu.Unlock()
		if state.Status == Stopped {
			if c.stopped(state.Exit) && known {
				r.announce(c, state.Exit)
			}
		}
		c.mu.Lock()
		if c.state.Status != Stopped || state.Status == Stopped {
			c.state = state
		}
		c.mu.Unlock()
	}
	for _, c := range r.of(g) {
		// Without a pid its creation is under way, and whoever is at it gets an error.
		c.mu.Lock()
		gone := !told[c.id] && c.state.Pid != 0
		c.mu.Unlock()
		if gone {
			exit := lostExit()
			if c.stopped(exit) {
				r.announce(c, exit)
			}
		}
	}
}

// abandon gives up a group whose shim cannot be replaced.
func (r *Runtime) abandon(g *group, cause error) {
	fmt.Fprintf(os.Stderr, "containers of %s are without a shim: %v\n", g.name, cause)
	for _, c := range r.alive(g) {
		exit := lostExit()
		if c.stopped(exit) {
			r.announce(c, exit)
		}
	}
}

func (r *Runtime) announce(c *container, exit ExitStatus) {
	if c.bound {
		return
	}
	if exit.OOMKilled {
		r.events.put(Event{Kind: OOM, ID: c.id})
	}
	r.events.put(Event{Kind: Exited, ID: c.id, Status: exit})
}

// handle takes one of a shim's events.
func (r *Runtime) handle(g *group, m protocol.Message) {
	var e protocol.Exit // what a Ref has is part of it
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return
	}
	c, err := r.container(e.ID)
	if err != nil || c.group != g {
		return
	}
	switch m.Method {
	case protocol.EventExited:
		if c.stopped(e.Status) {
			r.announce(c, e.Status)
			g.use.Lock()
			g.considerIdle()
			g.use.Unlock()
		}
	case protocol.EventExecExited:
		if !c.execEnded(e.Exec, e.Status) || c.bound {
			return
		}
		r.events.put(Event{Kind: ExecExited, ID: c.id, ExecID: e.Exec, Status: e.Status})
	case protocol.EventCutOff:
		c.mu.Lock()
		if a := c.attached[e.Exec]; a != nil {
			a.cutOff.Do(func() { close(a.cut) })
		}
		c.mu.Unlock()
	}
}

// List knows all containers that were created and not deleted, sorted by ID.
func (r *Runtime) List(ctx context.Context) ([]State, error) {
	r.mu.Lock()
	all := make([]*container, 0, len(r.containers))
	for _, c := range r.containers {
		if !c.bound {
			all = append(all, c)
		}
	}
	r.mu.Unlock()
	out := make([]State, len(all))
	for i, c := range all {
		c.mu.Lock()
		out[i] = State{Group: c.group.name, State: c.state}
		c.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// Mount returns the root directory of a root file system that no container uses at the moment, mounted where no other
// process sees it. Closing the file unmounts it.
func Mount(fs Rootfs) (*os.File, error) { return rootfs.Open(fs) }

// lostExit is the status of a container of which nobody knows how it ended.
func lostExit() ExitStatus { return pidfd.Exit(0, pidfd.ErrUnknown) }
