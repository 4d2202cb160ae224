package memory

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// ctr is a container.
type ctr struct {
	id, name  string
	created   time.Time
	imageID   string
	config    *container.Config     // merged with the image's
	host      *container.HostConfig // never nil
	root      *memTree
	mounts    []container.MountPoint
	trees     []mountPoint // what is mounted, by path; the root is not among them
	tmpfs     []string
	endpoints []*endpoint
	log       *logbook

	state           container.ContainerState
	started, ended  time.Time
	exitCode        int
	failure         string // why it could not be started
	restarts        int
	manuallyStopped bool
	restartTimer    *time.Timer
	backoff         time.Duration
	health          *container.Health
	run             *run // nil unless its process runs
	published       nat.PortMap
	handover               // for as long as it runs
	early           []byte // input for the next run, from who attached before the start
	earlyEnd        bool

	exitWaiters, removeWaiters []chan<- container.WaitResponse
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// ContainerCreate implements engine.Containers.
func (e *Engine) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (container.CreateResponse, error) {
	if err := e.enter(ctx, "ContainerCreate", name); err != nil {
		return container.CreateResponse{}, err
	}
	if cfg.Config == nil {
		return container.CreateResponse{}, engine.Errorf(engine.ErrInvalid, "cannot create container %s: it has no configuration", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	name, err := e.newName(name)
	if err != nil {
		return container.CreateResponse{}, err
	}
	image, err := e.image(cfg.Config.Image)
	if err != nil {
		return container.CreateResponse{}, err
	}
	c := &ctr{
		name: name, created: now(), imageID: image.id, log: newLogbook(), root: image.files.clone(),
		state: container.StateCreated, config: merged(copied(cfg.Config), image.config.Config), host: copied(cfg.Host),
	}
	if c.host == nil {
		c.host = &container.HostConfig{}
	}
	if err := validate(c); err != nil {
		return container.CreateResponse{}, err
	}
	c.id = e.newID("container")
	if c.config.Hostname == "" {
		c.config.Hostname = c.id[:12]
	}
	if err := e.plugNetworks(c, cfg.Networking); err != nil {
		return container.CreateResponse{}, err
	}
	if err := e.mountAll(c); err != nil {
		return container.CreateResponse{}, err
	}
	e.containers[c.id] = c
	e.event(c, events.ActionCreate, nil)
	return container.CreateResponse{ID: c.id, Warnings: []string{}}, nil
}

func (e *Engine) newName(name string) (string, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		e.serial++
		name = "unnamed_" + strconv.Itoa(e.serial)
	}
	if !validName.MatchString(name) {
		return "", engine.Errorf(engine.ErrInvalid, "cannot name a container %q: only letters, digits, '_', '.' and '-' are allowed", name)
	}
	for _, other := range e.containers {
		if other.name == name {
			return "", engine.Errorf(engine.ErrConflict, "cannot name a container %q: the name is in use by container %s", name, other.id)
		}
	}
	return name, nil
}

func validate(c *ctr) error {
	fail := func(format string, args ...any) error {
		return engine.Errorf(engine.ErrInvalid, "cannot create container "+c.name+": "+format, args...)
	}
	switch p := c.host.RestartPolicy; p.Name {
	case "", "no", "always", "unless-stopped", "on-failure":
	default:
		return fail("invalid restart policy %q", p.Name)
	}
	if command := c.command(); len(command) == 0 || command[0] == "" {
		return fail("no command specified")
	}
	if s := c.config.StopSignal; s != "" {
		if _, ok := parseSignal(s); !ok {
			return fail("invalid stop signal %q", s)
		}
	}
	return nil
}

func (c *ctr) command() []string { return slices.Concat(c.config.Entrypoint, c.config.Cmd) }

// merged completes a container's configuration with its image's.
func merged(c *container.Config, image *container.Config) *container.Config {
	if image == nil {
		return c
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = image.Cmd
		}
		c.Entrypoint = image.Entrypoint
	}
	if len(c.Entrypoint) == 1 && c.Entrypoint[0] == "" {
		c.Entrypoint = nil
	}
	env := environ(image.Env, c.Env)
	c.Env = nil
	for _, name := range slices.Sorted(maps.Keys(env)) {
		c.Env = append(c.Env, name+"="+env[name])
	}
	labels := maps.Clone(image.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Labels)
	c.Labels = labels
	c.WorkingDir = first(c.WorkingDir, image.WorkingDir)
	c.User = first(c.User, image.User)
	c.StopSignal = first(c.StopSignal, image.StopSignal)
	if c.Healthcheck == nil {
		c.Healthcheck = image.Healthcheck
	}
	for port := range image.ExposedPorts {
		if c.ExposedPorts == nil {
			c.ExposedPorts = nat.PortSet{}
		}
		c.ExposedPorts[port] = struct{}{}
	}
	for at := range image.Volumes {
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[at] = struct{}{}
	}
	return c
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// copied makes a deep copy of a value of the API, so that neither side sees what the other changes.
func copied[T any](v *T) *T {
	if v == nil {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic("memory: a value of the API cannot be written as JSON: " + err.Error())
	}
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		panic("memory: a value of the API cannot be read back: " + err.Error())
	}
	return out
}

// container finds a container by ID, name or an unambiguous prefix of the ID.
func (e *Engine) container(ref string) (*ctr, error) {
	if c := e.containers[ref]; c != nil {
		return c, nil
	}
	var found []*ctr
	for _, c := range e.containers {
		if c.name == strings.TrimPrefix(ref, "/") {
			return c, nil
		}
		if ref != "" && strings.HasPrefix(c.id, ref) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, engine.Errorf(engine.ErrNotFound, "cannot find container %s: no such container", ref)
	case 1:
		return found[0], nil
	}
	return nil, engine.Errorf(engine.ErrInvalid, "cannot find container %s: several IDs begin so", ref)
}

// locked runs an operation on a container.
func (e *Engine) locked(ctx context.Context, op, ref string, do func(c *ctr) error) error {
	if err := e.enter(ctx, op, ref); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.container(ref)
	if err != nil {
		return err
	}
	return do(c)
}

// event publishes what happened to a container.
func (e *Engine) event(c *ctr, action events.Action, more map[string]string) {
	attributes := maps.Clone(c.config.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["name"], attributes["image"] = c.name, c.config.Image
	maps.Copy(attributes, more)
	e.events.publish(events.ContainerEventType, action, c.id, attributes)
}

// ContainerRename implements engine.Containers.
func (e *Engine) ContainerRename(ctx context.Context, ref, name string) error {
	return e.locked(ctx, "ContainerRename", ref, func(c *ctr) error {
		if strings.TrimPrefix(name, "/") == "" {
			return engine.Errorf(engine.ErrInvalid, "cannot rename container %s: the new name is empty", ref)
		}
		name, err := e.newName(name)
		if err != nil {
			return err
		}
		old := c.name
		c.name = name
		e.event(c, events.ActionRename, map[string]string{"oldName": "/" + old})
		return nil
	})
}

// ContainerUpdate implements engine.Containers.
func (e *Engine) ContainerUpdate(ctx context.Context, ref string, cfg container.UpdateConfig) (container.UpdateResponse, error) {
	return container.UpdateResponse{}, e.locked(ctx, "ContainerUpdate", ref, func(c *ctr) error {
		if cfg.RestartPolicy.Name != "" {
			c.host.RestartPolicy = cfg.RestartPolicy
		}
		// Limits mean nothing here: what is set is told.
		data, err := json.Marshal(cfg.Resources)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot update container %s: %w", ref, err)
		}
		given := map[string]any{}
		if err := json.Unmarshal(data, &given); err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot update container %s: %w", ref, err)
		}
		maps.DeleteFunc(given, func(_ string, v any) bool { return v == nil || v == "" || v == 0.0 })
		if data, err = json.Marshal(given); err == nil {
			err = json.Unmarshal(data, &c.host.Resources)
		}
		e.event(c, events.ActionUpdate, nil)
		return err
	})
}

// ContainerRemove implements engine.Containers.
func (e *Engine) ContainerRemove(ctx context.Context, ref string, opts container.RemoveOptions) error {
	var id string
	var ending *run
	err := e.locked(ctx, "ContainerRemove", ref, func(c *ctr) error {
		if c.run != nil && !opts.Force {
			return engine.Errorf(engine.ErrConflict, "cannot remove container %s: it is running; stop it or use force", ref)
		}
		id = c.id
		c.manuallyStopped = true
		c.cancelRestart()
		if c.run == nil {
			e.forget(c, opts.RemoveVolumes)
			return nil
		}
		ending = c.run
		e.signal(c, syscall.SIGKILL)
		return nil
	})
	if err != nil || ending == nil {
		return err
	}
	<-ending.done // a killed program ends at once
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.containers[id]; c != nil && c.run == nil {
		e.forget(c, opts.RemoveVolumes)
	}
	return nil
}

// forget removes a container that does not run.
func (e *Engine) forget(c *ctr, withVolumes bool) {
	delete(e.containers, c.id)
	for id, x := range e.execs {
		if x.ctr == c {
			delete(e.execs, id)
		}
	}
	if withVolumes {
		for _, m := range c.mounts {
			if v := e.volumes[m.Name]; v != nil && v.anonymous && !e.volumeUsed(m.Name) {
				e.removeVolume(v)
			}
		}
	}
	e.event(c, events.ActionDestroy, nil)
	answer(&c.exitWaiters, container.WaitResponse{StatusCode: int64(c.exitCode)})
	answer(&c.removeWaiters, container.WaitResponse{StatusCode: int64(c.exitCode)})
}

// answer lets everybody go who waits.
func answer(waiters *[]chan<- container.WaitResponse, r container.WaitResponse) {
	for _, w := range *waiters {
		w <- r // has room for one
	}
	*waiters = nil
}

// ContainerWait implements engine.Containers.
func (e *Engine) ContainerWait(ctx context.Context, ref string, cond container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	results, errs := make(chan container.WaitResponse, 1), make(chan error, 1)
	answered := make(chan container.WaitResponse, 1)
	err := e.locked(ctx, "ContainerWait", ref, func(c *ctr) error {
		switch {
		case cond == container.WaitConditionRemoved:
			c.removeWaiters = append(c.removeWaiters, answered)
		case cond != container.WaitConditionNextExit && c.run == nil && c.state != container.StateRestarting:
			answered <- container.WaitResponse{StatusCode: int64(c.exitCode)}
		default:
			c.exitWaiters = append(c.exitWaiters, answered)
		}
		return nil
	})
	if err != nil {
		errs <- err
		return results, errs
	}
	go func() {
		select {
		case r := <-answered:
			results <- r
		case <-ctx.Done():
			errs <- ctx.Err()
		}
	}()
	return results, errs
}
