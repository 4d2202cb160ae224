package runtime

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// container is what the engine knows of a container, and keeps for it.
type container struct {
	id    string
	group *group
	bound bool // made by Run: nobody is told of it

	mu        sync.Mutex
	state     protocol.State
	stdinOnce bool
	kept      map[protocol.FileRole]*os.File // what keeps its streams and its exit status should the shim die
	execs     map[string]*execution
	attached  map[string]*attachment
	exited    chan struct{} // closed when it has stopped
}

func newContainer(id string, g *group) *container {
	return &container{
		id: id, group: g, state: protocol.State{ID: id, Status: Created},
		execs: map[string]*execution{}, attached: map[string]*attachment{}, exited: make(chan struct{}),
	}
}

// keep stores the files, in place of others.
func (c *container) keep(roles []protocol.FileRole, files []*os.File) error {
	kept, err := protocol.ByRole(roles, files)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	if c.state.Status == Stopped {
		protocol.CloseAll(files)
		return nil
	}
	c.kept = kept
	return nil
}

// drop closes what was kept. The caller holds c.mu.
func (c *container) drop() {
	for _, f := range c.kept {
		f.Close()
	}
	c.kept = nil
}

// stopped records the exit. It returns false if it was known.
func (c *container) stopped(exit ExitStatus) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Status == Stopped {
		return false
	}
	c.state.Status, c.state.Exit, c.state.Pid = Stopped, exit, 0
	c.drop()
	close(c.exited)
	return true
}

func (c *container) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Status
}

// handOver gives a new shim what was kept.
func (c *container) handOver(to *client) error {
	c.mu.Lock()
	var roles []protocol.FileRole
	var files []*os.File
	for role, f := range c.kept {
		roles = append(roles, role)
		files = append(files, f)
	}
	c.mu.Unlock()
	if len(files) == 0 {
		return nil
	}
	_, err := to.call(protocol.MethodAdopt, protocol.AdoptRequest{ID: c.id, Files: roles}, nil, files...)
	if errors.Is(err, engine.ErrNotFound) {
		return nil // it was on its way out; the shim's list will tell
	}
	return err
}

// hold asks for what is to be kept.
func (c *container) hold(from *client) error {
	c.mu.Lock()
	pid := c.state.Pid
	c.mu.Unlock()
	if pid == 0 { // it has stopped, or is about to be created
		return nil
	}
	var reply protocol.HoldReply
	files, err := from.call(protocol.MethodHold, protocol.Ref{ID: c.id}, &reply)
	if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
		return nil // it has just exited
	}
	if err != nil {
		return err
	}
	return c.keep(reply.Files, files)
}

// shimLost finds out by other means how the further processes end.
func (c *container) shimLost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.execs {
		e.watchAlone()
	}
}

// Create makes the container's first process, which waits for Start, and returns its pid as the host sees it. On an
// error nothing is left. ErrConflict: the ID is in use, or a port is taken. ErrInvalid: the configuration makes no
// sense, for example the user is not in the image. The file c.NetNS may be closed afterwards.
func (r *Runtime) Create(ctx context.Context, c Container) (pid int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ct, err := r.create(c, createRequest(c), nil)
	if err != nil {
		return 0, err
	}
	return ct.state.Pid, nil
}

func createRequest(c Container) protocol.CreateRequest {
	return protocol.CreateRequest{
		ID: c.ID, Spec: c.Spec, Rootfs: c.Rootfs, Terminal: c.Terminal, ConsoleSize: c.ConsoleSize,
		OpenStdin: c.OpenStdin, Log: c.Log, Resolver: c.Resolver, Ports: c.Ports, User: c.User, GroupAdd: c.GroupAdd,
		Init: c.Init,
	}
}

func (r *Runtime) create(c Container, request protocol.CreateRequest, files []*os.File) (*container, error) {
	if c.Spec == nil || c.Spec.Process == nil || c.Spec.Linux == nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot create container %s: its specification is incomplete", c.ID)
	}
	g := r.group(c.Group)
	ct := newContainer(c.ID, g)
	ct.bound, ct.stdinOnce = request.Bound, c.StdinOnce
	if c.Resolver != nil {
		ct.state.Networks = c.Resolver.Networks
	}
	if err := r.add(ct); err != nil {
		return nil, err
	}
	if err := ct.create(request, c.NetNS, files); err != nil {
		r.remove(ct)
		return nil, err
	}
	return ct, nil
}

func (c *container) create(request protocol.CreateRequest, netns *os.File, files []*os.File) error {
	if netns != nil {
		request.Files = append(request.Files, protocol.FileNetNS)
		files = append(files, netns)
	}
	var reply protocol.CreateReply
	var kept []*os.File
	err := c.group.with(func(client *client) (err error) {
		if request.Resolver != nil {
			if err := c.group.push(client, request.Resolver.Networks); err != nil {
				return err
			}
		}
		kept, err = client.call(protocol.MethodCreate, request, &reply, files...)
		return err
	})
	if isLost(err) {
		c.group.undo(c.id)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.state.Status != Stopped {
		c.state.Pid = reply.Pid
	}
	c.mu.Unlock()
	return c.keep(reply.Files, kept)
}

// undo removes a container of which it is not known how far the shim got before it died.
func (g *group) undo(id string) {
	if c, err := g.connected(); err == nil {
		_, _ = c.call(protocol.MethodDelete, protocol.Ref{ID: id}, nil) // usually there is none
	}
}

// Start executes the command. A *StartError says that it could not be executed; the container is then stopped, waits
// for Delete, and causes no event. The event of a container's exit may come before Start returns.
func (r *Runtime) Start(ctx context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err = c.group.call(protocol.MethodStart, protocol.Ref{ID: id}, nil)
	var failed *StartError
	switch {
	case errors.As(err, &failed):
		c.stopped(ExitStatus{Code: failed.Code})
		return err
	case err != nil:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Status == Created {
		c.state.Status = Running
	}
	return nil
}

// Signal sends the signal to the first process, or to all of them. ErrConflict: the container does not run.
func (r *Runtime) Signal(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	return r.simple(id, protocol.MethodSignal, protocol.SignalRequest{
		Ref: protocol.Ref{ID: id}, Signal: int(sig), All: all,
	}, nil)
}

// SignalExec sends a signal to a process that Exec started. ErrNotFound: it does not run.
func (r *Runtime) SignalExec(ctx context.Context, id, execID string, sig syscall.Signal) error {
	return r.simple(id, protocol.MethodSignal, protocol.SignalRequest{
		Ref: protocol.Ref{ID: id, Exec: execID}, Signal: int(sig),
	}, nil)
}

// simple is a call about a container whose answer has no files.
func (r *Runtime) simple(id string, method protocol.Method, body, answer any) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	_, err = c.group.call(method, body, answer)
	return err
}

// Pause freezes all processes. ErrConflict: the container does not run, or is paused.
func (r *Runtime) Pause(ctx context.Context, id string) error {
	return r.freeze(id, protocol.MethodPause, Running, Paused)
}

// Resume lets them go on. ErrConflict: the container is not paused.
func (r *Runtime) Resume(ctx context.Context, id string) error {
	return r.freeze(id, protocol.MethodResume, Paused, Running)
}

func (r *Runtime) freeze(id string, method protocol.Method, from, to Status) error {
	if err := r.simple(id, method, protocol.Ref{ID: id}, nil); err != nil {
		return err
	}
	c, err := r.container(id)
	if err != nil {
		return nil //nolint:nilerr // it was done, and the container deleted since
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Status == from {
		c.state.Status = to
	}
	return nil
}

// Delete forgets a stopped or created container and gives back its cgroup and pipes. ErrConflict: it runs.
// ErrNotFound: there is none.
func (r *Runtime) Delete(ctx context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	_, err = c.group.call(protocol.MethodDelete, protocol.Ref{ID: id}, nil)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	c.stopped(ExitStatus{Code: 128 + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL)})
	r.remove(c)
	return nil
}

// Stats takes a sample. ErrConflict: the container does not run.
func (r *Runtime) Stats(ctx context.Context, id string) (s Stats, err error) {
	err = r.simple(id, protocol.MethodStats, protocol.Ref{ID: id}, &s)
	return s, err
}

// OpenProc opens what /proc has of the container's first process under the name, for example "root" or "ns/net": of that process
// for certain, not of another one that has got its number. ErrConflict: it has ended. ErrNotFound: there is no such container.
func (r *Runtime) OpenProc(id, name string, flags int) (*os.File, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock() // keeps the descriptor open
	defer c.mu.Unlock()
	err = os.ErrProcessDone
	var file *os.File
	if process := c.kept[protocol.FilePidfd]; process != nil {
		file, err = pidfd.OpenProc(process, name, flags)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil, engine.Errorf(engine.ErrConflict, "container %s does not run: %w", id, err)
	}
	return file, err
}

// Pids lists the container's processes as the host numbers them. ErrConflict: the container does not run.
func (r *Runtime) Pids(ctx context.Context, id string) ([]int, error) {
	var reply protocol.PidsReply
	err := r.simple(id, protocol.MethodPids, protocol.Ref{ID: id}, &reply)
	return reply.Pids, err
}

// Update changes the limits of a container that runs; what res does not name stays as it is.
func (r *Runtime) Update(ctx context.Context, id string, res *specs.LinuxResources) error {
	return r.simple(id, protocol.MethodUpdate, protocol.UpdateRequest{ID: id, Resources: res}, nil)
}
