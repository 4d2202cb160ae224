package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// fake is an engine small enough to be sure of: it keeps records, checks what engines check (names, users of networks and
// volumes), and fails on request. Methods that convergence does not use panic.
type fake struct {
	engine.Engine

	mu         sync.Mutex
	next       int
	containers map[string]*record // by ID
	networks   map[string]*network.Inspect
	volumes    map[string]*volume.Volume
	images     map[string]string // reference to ID
	tagged     map[string]time.Time
	listeners  []chan events.Message

	// before is asked at each write, by what it does ("start x-web-1"); an error is the call's.
	before func(call string) error
	// exits says with which code a service's containers exit at once; those that are missing go on running.
	exits map[string]int
	// slow are the services whose health check has no outcome yet.
	slow map[string]bool
	// told is what providers and model runners say.
	told string
	// sick are the services whose health check fails.
	sick  map[string]bool
	calls []string
}

type record struct {
	id, name string
	cfg      engine.CreateConfig
	status   container.ContainerState
	exit     int
	networks map[string]bool
	mounts   []container.MountPoint
	files    bool

	endpoints map[string]*network.EndpointSettings // by network, as far as something was said about it
	started   time.Time
}

func newFake() *fake {
	return &fake{
		containers: map[string]*record{}, networks: map[string]*network.Inspect{}, volumes: map[string]*volume.Volume{},
		images: map[string]string{}, tagged: map[string]time.Time{}, exits: map[string]int{}, sick: map[string]bool{}, slow: map[string]bool{},
	}
}

func (f *fake) id() string {
	f.next++
	return fmt.Sprintf("%012x%052d", f.next, 0)
}

// write takes the lock, and gives the fault to be had.
func (f *fake) write(ctx context.Context, format string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call := fmt.Sprintf(format, args...)
	if f.before != nil {
		if err := f.before(call); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.calls = append(f.calls, call)
	return nil
}

func (f *fake) find(ref string) (*record, error) {
	if r, ok := f.containers[ref]; ok {
		return r, nil
	}
	for _, r := range f.containers {
		if r.name == ref {
			return r, nil
		}
	}
	return nil, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
}

func (f *fake) tell(r *record, action events.Action) {
	m := events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: r.id, Attributes: map[string]string{"name": r.name}}}
	for _, l := range f.listeners {
		l <- m
	}
}

func (f *fake) Events(ctx context.Context, _ events.ListOptions) (<-chan events.Message, <-chan error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, errs := make(chan events.Message, 10000), make(chan error, 1)
	f.listeners = append(f.listeners, out)
	context.AfterFunc(ctx, func() { errs <- ctx.Err() })
	return out, errs
}

func (f *fake) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (container.CreateResponse, error) {
	var out container.CreateResponse
	if err := f.write(ctx, "create %s", name); err != nil {
		return out, err
	}
	defer f.mu.Unlock()
	if _, err := f.find(name); err == nil {
		return out, engine.Errorf(engine.ErrConflict, "the name %s is taken", name)
	}
	if _, ok := f.images[cfg.Config.Image]; !ok {
		return out, engine.Errorf(engine.ErrNotFound, "no such image: %s", cfg.Config.Image)
	}
	r := &record{id: f.id(), name: name, cfg: cfg, status: container.StateCreated, networks: map[string]bool{}}
	r.endpoints = map[string]*network.EndpointSettings{}
	if cfg.Networking != nil {
		for n := range cfg.Networking.EndpointsConfig {
			if f.networks[n] == nil {
				return out, engine.Errorf(engine.ErrNotFound, "no such network: %s", n)
			}
			r.networks[n], r.endpoints[n] = true, cfg.Networking.EndpointsConfig[n]
		}
	}
	for _, m := range cfg.Host.Mounts {
		if m.Type == mount.TypeVolume && m.Source == "" {
			m.Source = f.id()
			f.volumes[m.Source] = &volume.Volume{Name: m.Source}
		}
		if m.Type == mount.TypeVolume && f.volumes[m.Source] == nil {
			return out, engine.Errorf(engine.ErrNotFound, "no such volume: %s", m.Source)
		}
		r.mounts = append(r.mounts, container.MountPoint{Type: m.Type, Name: m.Source, Destination: m.Target})
	}
	f.containers[r.id] = r
	f.tell(r, events.ActionCreate)
	out.ID = r.id
	return out, nil
}

func (f *fake) ContainerStart(ctx context.Context, ref string) error {
	if err := f.write(ctx, "start %s", f.nameOf(ref)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return err
	}
	for _, other := range f.containers {
		if other != r && !handsOver(r, other) && slices.ContainsFunc(other.ports(), func(p container.Port) bool { return r.wants(p.PublicPort) }) {
			return engine.Errorf(engine.ErrConflict, "a port of %s is held by %s", r.name, other.name)
		}
	}
	r.status = container.StateRunning
	f.tell(r, events.ActionStart)
	code, exits := f.exits[r.service()]
	if r.cfg.Config.Labels["com.docker.compose.hook"] != "" {
		code, exits = failing(r.cfg.Config.Cmd), true
	}
	if exits {
		r.status, r.exit = container.StateExited, code
		f.tell(r, events.ActionDie)
	}
	return nil
}

// failing is the exit code of a hook: those that are called "fail" do.
func failing(command []string) int {
	if slices.Equal(command, []string{"fail"}) {
		return 3
	}
	return 0
}

func (r *record) wants(port uint16) bool {
	for _, bindings := range r.cfg.Host.PortBindings {
		for _, b := range bindings {
			if b.HostPort == strconv.Itoa(int(port)) {
				return true
			}
		}
	}
	return false
}

// recover gives the service's slow health check an outcome, and tells.
func (f *fake) recover(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.slow, service)
	for _, r := range f.containers {
		if r.service() == service {
			f.tell(r, events.ActionHealthStatusHealthy)
		}
	}
}

func (r *record) service() string { return r.cfg.Config.Labels["com.docker.compose.service"] }

func (f *fake) nameOf(ref string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, err := f.find(ref); err == nil {
		return r.name
	}
	return ref
}

func (f *fake) ContainerStop(ctx context.Context, ref string, _ container.StopOptions) error {
	if err := f.write(ctx, "stop %s", f.nameOf(ref)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return err
	}
	r.status, r.exit = container.StateExited, 137
	f.tell(r, events.ActionDie)
	return nil
}

func (f *fake) ContainerRestart(ctx context.Context, ref string, o container.StopOptions) error {
	if err := f.ContainerStop(ctx, ref, o); err != nil {
		return err
	}
	return f.ContainerStart(ctx, ref)
}

func (f *fake) ContainerUnpause(ctx context.Context, ref string) error {
	return f.ContainerStart(ctx, ref)
}

func (f *fake) ContainerRename(ctx context.Context, ref, name string) error {
	if err := f.write(ctx, "rename %s", name); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return err
	}
	if _, err := f.find(name); err == nil {
		return engine.Errorf(engine.ErrConflict, "the name %s is taken", name)
	}
	r.name = name
	return nil
}

func (f *fake) ContainerRemove(ctx context.Context, ref string, o container.RemoveOptions) error {
	if err := f.write(ctx, "remove %s", f.nameOf(ref)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return err
	}
	if r.status == container.StateRunning && !o.Force {
		return engine.Errorf(engine.ErrConflict, "%s runs", r.name)
	}
	delete(f.containers, r.id)
	return nil
}

func (f *fake) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []container.Summary
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		r := f.containers[id]
		if !matches(o.Filters, r.cfg.Config.Labels) || !r.has(o.Filters) {
			continue
		}
		s := container.Summary{ID: id, Names: []string{"/" + r.name}, Image: r.cfg.Config.Image, Labels: r.cfg.Config.Labels, State: r.status, Mounts: r.mounts}
		s.NetworkSettings = &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{}}
		for n := range r.networks {
			s.NetworkSettings.Networks[n] = &network.EndpointSettings{}
		}
		s.Status = f.words(r)
		s.Ports = r.ports()
		out = append(out, s)
	}
	return out, nil
}

func (r *record) ports() []container.Port {
	var out []container.Port
	for _, bindings := range r.cfg.Host.PortBindings {
		for _, b := range bindings {
			if n, err := strconv.Atoi(b.HostPort); err == nil && r.status == container.StateRunning {
				out = append(out, container.Port{PublicPort: uint16(n)})
			}
		}
	}
	return out
}

func (f *fake) words(r *record) string {
	switch {
	case r.status == container.StateExited:
		return fmt.Sprintf("Exited (%d) 1 second ago", r.exit)
	case r.status == container.StateRunning && r.cfg.Config.Healthcheck != nil && f.sick[r.service()]:
		return "Up 1 second (unhealthy)"
	case r.status == container.StateRunning && r.cfg.Config.Healthcheck != nil:
		return "Up 1 second (healthy)"
	}
	return "Up 1 second"
}

func matches(args filters.Args, labels map[string]string) bool {
	return args.MatchKVList("label", labels)
}

func (f *fake) ContainerInspect(_ context.Context, ref string) (container.InspectResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return container.InspectResponse{}, err
	}
	s := &container.State{Status: r.status, Running: r.status == container.StateRunning, ExitCode: r.exit}
	if r.cfg.Config.Healthcheck != nil {
		s.Health = &container.Health{Status: container.Healthy}
		if f.slow[r.service()] {
			s.Health = &container.Health{Status: container.Starting}
		}
		if f.sick[r.service()] {
			s.Health = &container.Health{Status: container.Unhealthy, Log: []*container.HealthcheckResult{{Output: "connection refused"}}}
		}
	}
	out := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: r.id, Name: "/" + r.name, State: s}}
	r.inspected(&out, r.started)
	return out, nil
}

func (f *fake) ContainerLogs(context.Context, string, container.LogsOptions) iter.Seq2[engine.LogEntry, error] {
	return func(yield func(engine.LogEntry, error) bool) {
		yield(engine.LogEntry{Stream: "stderr", Line: []byte("panic: no database\n")}, nil)
	}
}

func (f *fake) CopyTo(ctx context.Context, ref, _ string, content io.Reader, _ container.CopyToContainerOptions) error {
	if err := f.write(ctx, "copy to %s", f.nameOf(ref)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return err
	}
	r.files = true
	_, err = io.Copy(io.Discard, content)
	return err
}

var errInjected = errors.New("injected fault")
