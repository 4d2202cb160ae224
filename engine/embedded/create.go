package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"
	dockernet "github.com/docker/docker/api/types/network"
	dockervolume "github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/health"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime/spec"
)

// anonymousLabel marks volumes that were made for one container, as Docker's do.
const anonymousLabel = "com.docker.volume.anonymous"

// ContainerCreate implements engine.Containers.
func (e *Engine) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (dockercontainer.CreateResponse, error) {
	var none dockercontainer.CreateResponse
	if cfg.Config == nil {
		return none, engine.Errorf(engine.ErrInvalid, "cannot create a container without a configuration")
	}
	e.migration.announce() // it is probably started right away
	img, err := e.images.Resolve(ctx, cfg.Config.Image)
	if err != nil {
		return none, err
	}
	if err := checkPlatform(cfg, img); err != nil {
		return none, err
	}
	record, err := e.newRecord(cfg, img)
	if err != nil {
		return none, err
	}
	if record.Name, err = e.containers.Reserve(name, record.ID); err != nil {
		return none, err
	}
	if err := e.storeNew(ctx, record); err != nil {
		e.containers.Free(record.Name, record.ID)
		return none, err
	}
	e.containerEvent(&record, events.ActionCreate)
	return dockercontainer.CreateResponse{ID: record.ID, Warnings: []string{}}, nil
}

func checkPlatform(cfg engine.CreateConfig, img image.Image) error {
	p := cfg.Platform
	if p == nil || (p.OS == "" || p.OS == img.Config.OS) && (p.Architecture == "" || p.Architecture == img.Config.Architecture) {
		return nil
	}
	return engine.Errorf(engine.ErrNotFound, "image %s is there for platform %s/%s and not for %s/%s", cfg.Config.Image,
		img.Config.OS, img.Config.Architecture, p.OS, p.Architecture)
}

// newRecord decides everything about the container that does not need anything to be made.
func (e *Engine) newRecord(cfg engine.CreateConfig, img image.Image) (container.Record, error) {
	var none container.Record
	config, err := container.Merge(cfg.Config, img.Config.Config)
	if err != nil {
		return none, err
	}
	host, err := container.Normalise(cfg.Host)
	if err != nil {
		return none, err
	}
	if err := spec.Validate(config, withoutLinks(host)); err != nil {
		return none, err
	}
	if _, err := network.ParsePorts(config.ExposedPorts, host.PortBindings, host.PublishAllPorts); err != nil {
		return none, err
	}
	if config.NetworkDisabled {
		host.NetworkMode = dockernet.NetworkNone
	}
	id := newID()
	record := container.Record{
		ID: id, Created: time.Now().UTC(), Image: img.ID, Snapshot: img.Snapshot, Platform: "linux",
		Config: config, Host: host, State: lifecycle.State{Phase: lifecycle.Created},
	}
	if err := e.planNetworks(&record, cfg.Networking); err != nil {
		return none, err
	}
	if config.Hostname == "" && !host.NetworkMode.IsContainer() {
		config.Hostname = e.defaultHostname(&record)
	}
	if record.Mounts, err = container.PlanMounts(config, host, e.record); err != nil {
		return none, err
	}
	for i := range record.Mounts {
		if m := &record.Mounts[i]; m.Type == mount.TypeVolume && m.Name == "" {
			m.Name = newID()
		}
	}
	if _, ok := health.ConfigOf(config.Healthcheck, config.Shell); ok {
		starting := health.Starting()
		record.Health = &starting
	}
	return record, nil
}

func (e *Engine) defaultHostname(r *container.Record) string {
	if r.Host.NetworkMode.IsHost() || r.Host.UTSMode.IsHost() {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	return r.ShortID()
}

// record returns the record of the container that ref names.
func (e *Engine) record(ref string) (container.Record, error) {
	c, err := e.find(ref)
	if err != nil {
		return container.Record{}, err
	}
	return c.Record(), nil
}

func newID() string {
	var id [32]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// planNetworks resolves the networks of a new container, so that a missing one is an error now and not at its start.
func (e *Engine) planNetworks(r *container.Record, networking *dockernet.NetworkingConfig) error {
	mode := r.Host.NetworkMode
	wanted := map[string]*dockernet.EndpointSettings{}
	if networking != nil {
		maps.Copy(wanted, networking.EndpointsConfig)
	}
	if mode.IsContainer() {
		return e.joinNetwork(r, wanted)
	}
	if len(wanted) > 0 && (mode.IsHost() || mode.IsNone()) {
		if _, only := wanted[string(mode)]; !only || len(wanted) > 1 {
			return engine.Errorf(engine.ErrInvalid, "a container with the network mode %q cannot be connected to other networks", mode)
		}
	}
	r.Endpoints = map[string]*dockernet.EndpointSettings{}
	for ref, settings := range wanted {
		if err := e.addEndpoint(r, ref, settings); err != nil {
			return err
		}
	}
	_, name, err := e.networks.Resolve(string(mode))
	if err != nil {
		return err
	}
	if _, there := r.Endpoints[name]; there {
		return nil
	}
	settings := &dockernet.EndpointSettings{}
	if r.Config.MacAddress != "" {
		settings.MacAddress = r.Config.MacAddress
	}
	return e.addEndpoint(r, string(mode), settings)
}

func (e *Engine) joinNetwork(r *container.Record, wanted map[string]*dockernet.EndpointSettings) error {
	mode := r.Host.NetworkMode
	switch {
	case len(wanted) > 0:
		return engine.Errorf(engine.ErrInvalid, "a container with the network mode %q cannot be connected to networks", mode)
	case len(r.Host.PortBindings) > 0 || r.Host.PublishAllPorts:
		return engine.Errorf(engine.ErrInvalid, "a container with the network mode %q cannot publish ports", mode)
	case r.Config.Hostname != "":
		return engine.Errorf(engine.ErrInvalid, "a container with the network mode %q cannot have a hostname", mode)
	case len(r.Host.Links) > 0 || len(r.Host.ExtraHosts) > 0 || len(r.Host.DNS) > 0:
		return engine.Errorf(engine.ErrInvalid, "a container with the network mode %q cannot have links, extra hosts or DNS servers", mode)
	}
	other, err := e.record(mode.ConnectedContainer())
	if err != nil {
		return err
	}
	r.Joined = other.ID
	host := *r.Host
	host.NetworkMode = dockercontainer.NetworkMode("container:" + other.ID)
	r.Host = &host
	return nil
}

func (e *Engine) addEndpoint(r *container.Record, ref string, settings *dockernet.EndpointSettings) error {
	id, name, err := e.networks.Resolve(ref)
	if err != nil {
		return err
	}
	if _, twice := r.Endpoints[name]; twice {
		return engine.Errorf(engine.ErrInvalid, "the network %s is given twice", name)
	}
	if settings == nil {
		settings = &dockernet.EndpointSettings{}
	}
	if err := settings.IPAMConfig.Validate(); err != nil {
		return engine.Errorf(engine.ErrInvalid, "invalid settings for network %s: %w", name, err)
	}
	endpoint := settings.Copy()
	endpoint.NetworkID = id
	r.Endpoints[name] = endpoint
	return nil
}

// storeNew makes the container's directory, record and volumes. On an error nothing of it is left.
func (e *Engine) storeNew(ctx context.Context, record container.Record) (err error) {
	if _, err := e.layers(ctx, &record); err != nil {
		return err
	}
	c := container.New(record, e.store)
	defer func() {
		if err != nil {
			e.pins.release(record.ID)
			err = errors.Join(err, os.RemoveAll(e.dir(record.ID)))
		}
	}()
	if err := e.makeDirs(record.ID); err != nil {
		return err
	}
	// The record comes before the volumes: if the engine dies in between, the next start makes what is missing.
	if err := c.Save(); err != nil {
		return fullDisk(err)
	}
	e.volumeMu.RLock()
	defer e.volumeMu.RUnlock()
	if err := e.makeVolumes(&record); err != nil {
		return errors.Join(err, c.Forget())
	}
	e.containers.Add(c)
	return nil
}

func (e *Engine) makeDirs(id string) error {
	dir := e.dir(id)
	for _, d := range []string{dir, filepath.Join(dir, "work")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return fmt.Errorf("cannot create container %s: %w", id[:12], fullDisk(err))
		}
	}
	// What is the container's / has the mode that the container sees.
	upper := filepath.Join(dir, "upper")
	if err := os.Mkdir(upper, 0o755); err != nil {
		return fmt.Errorf("cannot create container %s: %w", id[:12], fullDisk(err))
	}
	return os.Chmod(upper, 0o755)
}

// makeVolumes makes the volumes that the container mounts and that are not there yet. It removes again what it made if
// one of them cannot be made.
func (e *Engine) makeVolumes(r *container.Record) error {
	var made []string
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		if _, err := e.volumes.Inspect(m.Name); err == nil {
			continue // used as it is, whatever options it was made with
		}
		v, created, err := e.volumes.Create(volumeOptions(m))
		if err != nil {
			for _, name := range made {
				err = errors.Join(err, e.volumes.Remove(name))
			}
			return err
		}
		if created {
			made = append(made, v.Name)
			e.volumeEvent(v.Name, events.ActionCreate)
		}
	}
	return nil
}

// volumeOptions says how to make the volume of a mount.
func volumeOptions(m container.Mount) dockervolume.CreateOptions {
	opts := dockervolume.CreateOptions{Name: m.Name}
	if m.Anonymous {
		opts.Labels = map[string]string{anonymousLabel: ""}
	}
	if o := m.VolumeOptions; o != nil {
		if len(o.Labels) > 0 {
			opts.Labels = maps.Clone(o.Labels)
		}
		if o.DriverConfig != nil {
			opts.Driver, opts.DriverOpts = o.DriverConfig.Name, o.DriverConfig.Options
		}
	}
	return opts
}
