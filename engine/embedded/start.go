package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// ContainerStart implements engine.Containers.
func (e *Engine) ContainerStart(ctx context.Context, ref string) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	if err := c.Lock(ctx); err != nil {
		return err
	}
	defer c.Unlock()
	return e.startAsked(ctx, c)
}

// startAsked starts the container for the user. The caller holds its lock.
func (e *Engine) startAsked(ctx context.Context, c *container.Container) error {
	_, state, actions := c.Apply(lifecycle.StartAsked{})
	switch state.Phase {
	case lifecycle.Removing, lifecycle.Dead:
		return engine.Errorf(engine.ErrConflict, "cannot start container %s: it is being removed", c.Record().Name)
	case lifecycle.Paused:
		return engine.Errorf(engine.ErrConflict, "cannot start container %s: it is paused, unpause it instead", c.Record().Name)
	}
	return e.act(ctx, c, actions)
}

// launch starts the container's process and tells everybody how that went. The caller holds the container's lock.
func (e *Engine) launch(ctx context.Context, c *container.Container) error {
	a := &attempt{engine: e, container: c, record: c.Record()}
	pid, err := a.run(ctx)
	if err != nil {
		err = errors.Join(err, a.undo())
		return e.launchFailed(ctx, c, err)
	}
	c.Change(beginHealth)
	_, state, _ := c.Apply(lifecycle.Started{Pid: pid, At: a.startedAt})
	e.busy.note(c.ID, state)
	record := c.Record()
	e.endpointEvents(&record, events.ActionConnect)
	e.containerEvent(&record, events.ActionStart)
	e.startMonitor(c)
	return c.Save()
}

// launchFailed puts the failure into the record.
func (e *Engine) launchFailed(ctx context.Context, c *container.Container, cause error) error {
	code := 125
	if failed := new(runtime.StartError); errors.As(cause, &failed) {
		code = failed.Code
	}
	c.Change(func(r *container.Record) { clearRuntime(r) })
	_, state, actions := c.Apply(lifecycle.StartFailed{Code: code, Error: cause.Error(), At: time.Now().UTC()})
	e.busy.note(c.ID, state)
	record := c.Record()
	e.containerEvent(&record, events.ActionDie, "exitCode", strconv.Itoa(code))
	err := c.Save()
	return errors.Join(fmt.Errorf("cannot start container %s: %w", record.Name, fullDisk(cause)), err, e.act(context.WithoutCancel(ctx), c, actions))
}

// clearRuntime takes out of the record what holds only while the container is active.
func clearRuntime(r *container.Record) {
	r.Ports, r.Live = nil, nil
}

// attempt is one try at starting a container.
type attempt struct {
	engine    *Engine
	container *container.Container
	record    container.Record

	lower   []string
	sandbox *network.Sandbox
	joined  []*os.File // namespaces of other containers that are shared
	netns   *os.File   // the network's of them
	undos   []func() error

	startedAt time.Time // just before the command was executed: its end is later, however short it runs
}

// onFailure adds a step to undo, in reverse order, if a later one fails.
func (a *attempt) onFailure(undo func() error) { a.undos = append(a.undos, undo) }

func (a *attempt) undo() error {
	var errs []error
	for i := len(a.undos) - 1; i >= 0; i-- {
		errs = append(errs, a.undos[i]())
	}
	return errors.Join(errs...)
}

// run carries the attempt out and returns the pid of the container's first process.
func (a *attempt) run(ctx context.Context) (int, error) {
	e, r := a.engine, &a.record
	e.migration.announce()
	err := e.roots.released(ctx, r.ID)
	if err != nil {
		return 0, err
	}
	if a.lower, err = e.layers(ctx, r); err != nil {
		return 0, err
	}
	mounts, err := a.mounts()
	if err != nil {
		return 0, err
	}
	if err := a.network(); err != nil {
		return 0, err
	}
	defer a.closeNamespaces()
	if err := a.writeFiles(); err != nil {
		return 0, err
	}
	spec, err := a.spec(mounts)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// From here on the attempt is finished or undone whatever becomes of the caller.
	ctx = context.WithoutCancel(ctx)
	pid, err := a.create(ctx, a.process(spec))
	if err != nil {
		return 0, err
	}
	// It may run although its start failed: the shim died in between.
	a.onFailure(func() error { return e.clear(ctx, r.ID) })
	if err := a.checkSubpaths(); err != nil {
		return 0, errors.Join(err, e.runtime.Signal(ctx, r.ID, 9, true))
	}
	a.publish(ctx)
	if err := e.names.push(ctx); err != nil {
		return 0, err
	}
	e.attachWaiting(r.ID)
	a.startedAt = time.Now().UTC()
	if err := e.runtime.Start(ctx, r.ID); err != nil {
		return 0, err
	}
	return pid, nil
}

// publish puts the container's addresses and ports into its record.
func (a *attempt) publish(ctx context.Context) {
	if a.sandbox == nil {
		return
	}
	endpoints, ports := a.sandbox.Endpoints(), a.sandbox.Ports()
	a.container.Change(func(r *container.Record) {
		r.Ports = ports
		r.Live = live(r, endpoints)
	})
	if holders := a.sandbox.Waits(); len(holders) > 0 {
		a.engine.claim(ctx, a.record.ID, holders)
	}
}

// process says to the runtime what to run.
func (a *attempt) process(s *specs.Spec) runtime.Container {
	r := &a.record
	dir := a.engine.dir(r.ID)
	c := runtime.Container{
		ID: r.ID, Group: groupName(r.Group()), Spec: s,
		Rootfs:   runtime.Rootfs{Lower: a.lower, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")},
		Terminal: r.Config.Tty, ConsoleSize: r.Host.ConsoleSize, OpenStdin: r.Config.OpenStdin, StdinOnce: r.Config.StdinOnce,
		Log: a.engine.logConfig(r), User: r.Config.User, GroupAdd: r.Host.GroupAdd,
		Init: r.Host.Init != nil && *r.Host.Init, NetNS: a.netns,
	}
	if a.sandbox == nil {
		return c
	}
	c.NetNS = a.sandbox.File()
	if port := a.sandbox.ResolverPort(); port != 0 {
		dns := a.engine.dnsOf(r)
		if !a.sandbox.ReachesOutside() {
			dns.servers = nil // questions and answers would be a way to speak with the outside
		}
		c.Resolver = &runtime.Resolver{Port: port, Servers: dns.servers, Search: dns.search, Options: dns.options,
			Networks: a.sandbox.ResolverNetworks()}
	}
	return c
}

func (a *attempt) closeNamespaces() {
	if a.sandbox != nil {
		a.sandbox.Close()
	}
	for _, namespace := range a.joined {
		namespace.Close()
	}
}

// logConfig says where the container's output goes; nil for nowhere.
func (e *Engine) logConfig(r *container.Record) *runtime.LogConfig {
	path := e.logPath(r)
	if path == "" {
		return nil
	}
	cfg := &runtime.LogConfig{Path: path, MaxSize: defaultLogSize, MaxFile: defaultLogFiles}
	// Both were validated when the container was created.
	if size, err := units.RAMInBytes(r.Host.LogConfig.Config["max-size"]); err == nil && size > 0 {
		cfg.MaxSize, cfg.MaxFile = size, 1
	}
	if files, err := strconv.Atoi(r.Host.LogConfig.Config["max-file"]); err == nil && files > 0 {
		cfg.MaxFile = files
	}
	return cfg
}

// A log may take 50 MiB unless the container says otherwise.
const (
	defaultLogSize  = 10 << 20
	defaultLogFiles = 5
)

func (e *Engine) logPath(r *container.Record) string {
	if r.Host.LogConfig.Type == "none" {
		return ""
	}
	return filepath.Join(e.dir(r.ID), r.ID+"-json.log")
}
