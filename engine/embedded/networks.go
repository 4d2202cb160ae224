package embedded

import (
	"context"
	"errors"
	"maps"
	"slices"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	dockernet "github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/network"
)

// NetworkCreate implements engine.Networks.
func (e *Engine) NetworkCreate(ctx context.Context, name string, opts dockernet.CreateOptions) (string, error) {
	if err := checkDriver(name, opts.Driver); err != nil {
		return "", err
	}
	id, err := e.networks.Create(name, opts)
	if err != nil {
		return "", fullDisk(err)
	}
	e.networkEvent(id, name, events.ActionCreate, nil)
	return id, nil
}

// checkDriver tells a driver that nobody knows from one that only this engine does not have.
func checkDriver(name, driver string) error {
	known := []string{"", "default", "bridge", "host", "null", "macvlan", "ipvlan", "overlay"}
	if !slices.Contains(known, driver) {
		return engine.Errorf(engine.ErrInvalid, "cannot create network %s: there is no network driver %q", name, driver)
	}
	return nil
}

var networkFilters = map[string]bool{"dangling": true, "driver": true, "id": true, "label": true, "name": true, "scope": true, "type": true}

// NetworkList implements engine.Networks.
func (e *Engine) NetworkList(ctx context.Context, opts dockernet.ListOptions) ([]dockernet.Summary, error) {
	f := opts.Filters
	if err := f.Validate(networkFilters); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list networks: %w", err)
	}
	dangling, err := f.GetBoolOrDefault("dangling", false)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list networks: %w", err)
	}
	list := []dockernet.Summary{}
	for _, n := range e.networks.List() {
		if networkMatches(f, n, dangling) {
			n.Containers = nil // lists do not show them
			list = append(list, n)
		}
	}
	return list, nil
}

func networkMatches(f filters.Args, n dockernet.Inspect, dangling bool) bool {
	kind := "custom"
	if isPredefined(n.Name) {
		kind = "builtin"
	}
	if f.Contains("dangling") && (kind == "builtin" || dangling != (len(n.Containers) == 0)) {
		return false
	}
	return f.ExactMatch("driver", n.Driver) && f.FuzzyMatch("id", n.ID) && f.Match("name", n.Name) &&
		f.ExactMatch("scope", n.Scope) && f.ExactMatch("type", kind) && f.MatchKVList("label", n.Labels)
}

// NetworkInspect implements engine.Networks.
func (e *Engine) NetworkInspect(ctx context.Context, ref string, opts dockernet.InspectOptions) (dockernet.Inspect, error) {
	n, err := e.networks.Inspect(ref)
	if err != nil {
		return n, err
	}
	if opts.Scope != "" && opts.Scope != n.Scope {
		return dockernet.Inspect{}, engine.Errorf(engine.ErrNotFound, "network %s not found in the scope %s", ref, opts.Scope)
	}
	return n, nil
}

// NetworkRemove implements engine.Networks.
func (e *Engine) NetworkRemove(ctx context.Context, ref string) error {
	id, name, err := e.networks.Resolve(ref)
	if err != nil {
		return err
	}
	if err := e.networks.Remove(id); err != nil {
		return err
	}
	e.networkEvent(id, name, events.ActionDestroy, nil)
	return nil
}

// NetworkConnect implements engine.Networks.
func (e *Engine) NetworkConnect(ctx context.Context, ref, containerRef string, settings *dockernet.EndpointSettings) error {
	id, name, err := e.networks.Resolve(ref)
	if err != nil {
		return err
	}
	c, err := e.lock(ctx, containerRef)
	if err != nil {
		return err
	}
	defer c.Unlock()
	record := c.Record()
	if err := checkConnectable(&record, name); err != nil {
		return err
	}
	if _, there := record.Endpoints[name]; there {
		return engine.Errorf(engine.ErrConflict, "container %s is connected to network %s already", record.Name, name)
	}
	endpoints := record
	endpoints.Endpoints = maps.Clone(record.Endpoints)
	if endpoints.Endpoints == nil {
		endpoints.Endpoints = map[string]*dockernet.EndpointSettings{}
	}
	if err := e.addEndpoint(&endpoints, id, settings); err != nil {
		return err
	}
	var made *dockernet.EndpointSettings
	if record.State.Active() {
		if made, err = e.connectRunning(&record, id, endpoints.Endpoints[name]); err != nil {
			return err
		}
	}
	c.Change(func(r *container.Record) {
		r.Endpoints = endpoints.Endpoints
		if r.Host.NetworkMode.IsNone() {
			setNetworkMode(r, name) // it was taken off all networks before
		}
		if made != nil {
			r.Live = maps.Clone(r.Live)
			if r.Live == nil {
				r.Live = map[string]*dockernet.EndpointSettings{}
			}
			r.Live[name] = merged(r, name, r.Endpoints[name], made)
		}
	})
	if err := c.Save(); err != nil {
		return errors.Join(err, e.disconnect(ctx, c, id, name))
	}
	e.networkEvent(id, name, events.ActionConnect, map[string]string{"container": c.ID})
	return e.networksChanged(ctx, c)
}

func checkConnectable(r *container.Record, name string) error {
	mode := r.Host.NetworkMode
	switch {
	case mode.IsContainer():
		return engine.Errorf(engine.ErrConflict, "container %s shares another container's network and cannot be connected to others", r.Name)
	case mode.IsHost() || name == dockernet.NetworkHost:
		return engine.Errorf(engine.ErrForbidden, "container %s cannot be connected to network %s: the host's network cannot be combined with others", r.Name, name)
	case mode.IsNone() && len(r.Endpoints) > 0:
		return engine.Errorf(engine.ErrInvalid, "container %s cannot be connected to network %s: the network none goes with no other", r.Name, name)
	case name == dockernet.NetworkNone:
		return engine.Errorf(engine.ErrForbidden, "container %s cannot be connected to the network none", r.Name)
	case r.State.Phase == lifecycle.Removing || r.State.Phase == lifecycle.Dead:
		return engine.Errorf(engine.ErrConflict, "container %s is being removed and cannot be connected", r.Name)
	}
	return nil
}

func (e *Engine) connectRunning(r *container.Record, id string, settings *dockernet.EndpointSettings) (*dockernet.EndpointSettings, error) {
	return e.networks.Attach(r.ID, r.ID, network.Attachment{Network: id, Settings: settings.Copy()})
}

// networksChanged tells the running container, and those who look names up, of its networks.
func (e *Engine) networksChanged(ctx context.Context, c *container.Container) error {
	record := c.Record()
	if !record.State.Active() {
		return nil
	}
	if err := e.writeNetworkFiles(&record, record.Live); err != nil {
		return err
	}
	var ids []string
	for name, endpoint := range record.Live {
		if !isPredefined(name) {
			ids = append(ids, endpoint.NetworkID)
		}
	}
	slices.Sort(ids)
	// Names of links are kept under the container's own ID, and come first.
	ids = append([]string{record.ID}, ids...)
	var err error
	if hasBridge(&record) {
		err = e.runtime.SetNetworks(ctx, c.ID, ids)
	}
	return errors.Join(err, e.names.push(ctx))
}

// NetworkDisconnect implements engine.Networks.
func (e *Engine) NetworkDisconnect(ctx context.Context, ref, containerRef string, force bool) error {
	id, name, err := e.networks.Resolve(ref)
	if err != nil {
		return err
	}
	c, err := e.lock(ctx, containerRef)
	if err != nil {
		return err
	}
	defer c.Unlock()
	record := c.Record()
	if _, there := record.Endpoints[name]; !there {
		return engine.Errorf(engine.ErrConflict, "container %s is not connected to network %s", record.Name, name)
	}
	if record.Host.NetworkMode.IsHost() {
		return engine.Errorf(engine.ErrForbidden, "container %s cannot be disconnected from the host's network", record.Name)
	}
	if err := e.disconnect(ctx, c, id, name); err != nil && !force {
		return err
	}
	e.networkEvent(id, name, events.ActionDisconnect, map[string]string{"container": c.ID})
	return e.networksChanged(ctx, c)
}

// disconnect takes the container off the network and stores that.
func (e *Engine) disconnect(ctx context.Context, c *container.Container, id, name string) error {
	record := c.Record()
	var err error
	if record.State.Active() {
		err = e.networks.Detach(c.ID, c.ID, id)
	}
	c.Change(func(r *container.Record) {
		r.Endpoints, r.Live = maps.Clone(r.Endpoints), maps.Clone(r.Live)
		delete(r.Endpoints, name)
		delete(r.Live, name)
		if string(r.Host.NetworkMode) == name {
			// Its network mode would bring the network back with the next start.
			mode := dockernet.NetworkNone
			for other := range r.Endpoints {
				mode = other
			}
			setNetworkMode(r, mode)
		}
	})
	return errors.Join(err, c.Save())
}

func setNetworkMode(r *container.Record, mode string) {
	host := *r.Host
	host.NetworkMode = dockercontainer.NetworkMode(mode)
	r.Host = &host
}
