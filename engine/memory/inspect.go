package memory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"
)

// ContainerInspect implements engine.Containers.
func (e *Engine) ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	var out container.InspectResponse
	err := e.locked(ctx, "ContainerInspect", ref, func(c *ctr) error {
		out = c.describe()
		return nil
	})
	return out, err
}

func (c *ctr) describe() container.InspectResponse {
	command := c.command()
	s := &container.State{
		Status: c.state, Running: c.run != nil || c.state == container.StateRestarting, Paused: c.state == container.StatePaused,
		Restarting: c.state == container.StateRestarting, ExitCode: c.exitCode, Error: c.failure,
		StartedAt: stamp(c.started), FinishedAt: stamp(c.ended),
	}
	if c.run != nil {
		s.Pid = c.run.pid
	}
	if c.health != nil {
		s.Health = copied(c.health)
	}
	networks := map[string]*network.EndpointSettings{}
	for _, ep := range c.endpoints {
		networks[ep.network.name] = ep.describe(c)
	}
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: c.id, Created: stamp(c.created), Path: command[0], Args: slices.Clone(command[1:]), State: s,
			Image: c.imageID, Name: "/" + c.name, RestartCount: c.restarts, Driver: "memory", Platform: "linux",
			HostConfig: copied(c.host),
		},
		Mounts: slices.Clone(c.mounts),
		Config: copied(c.config),
		NetworkSettings: &container.NetworkSettings{
			NetworkSettingsBase: container.NetworkSettingsBase{Ports: c.ports()},
			Networks:            networks,
		},
	}
}

// ports tells the exposed ports and where they are published.
func (c *ctr) ports() nat.PortMap {
	all := nat.PortMap{}
	if c.run == nil {
		return all
	}
	for port := range c.config.ExposedPorts {
		all[port] = nil
	}
	for port, bindings := range c.published {
		all[port] = slices.Clone(bindings)
	}
	return all
}

// ContainerList implements engine.Containers.
func (e *Engine) ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	if err := e.enter(ctx, "ContainerList", ""); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var chosen []*ctr
	for _, c := range e.containers {
		shown := opts.All || opts.Limit > 0 || opts.Latest || c.run != nil || opts.Filters.Contains("status") || opts.Filters.Contains("exited")
		if shown && e.wanted(c, opts.Filters) {
			chosen = append(chosen, c)
		}
	}
	if limit := opts.Limit; limit > 0 && len(chosen) > limit {
		slices.SortFunc(chosen, func(a, b *ctr) int { return b.created.Compare(a.created) })
		chosen = chosen[:limit]
	}
	slices.SortFunc(chosen, func(a, b *ctr) int { return strings.Compare(a.name, b.name) })
	list := make([]container.Summary, 0, len(chosen))
	for _, c := range chosen {
		list = append(list, c.summary())
	}
	return list, nil
}

func (c *ctr) summary() container.Summary {
	s := container.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.config.Image, ImageID: c.imageID, Command: strings.Join(c.command(), " "),
		Created: c.created.Unix(), Labels: maps.Clone(c.config.Labels), State: c.state, Status: c.status(), Mounts: slices.Clone(c.mounts),
		NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{}},
	}
	s.HostConfig.NetworkMode = string(c.host.NetworkMode)
	for _, ep := range c.endpoints {
		s.NetworkSettings.Networks[ep.network.name] = ep.describe(c)
	}
	ports := c.ports()
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		private := container.Port{PrivatePort: uint16(port.Int()), Type: port.Proto()}
		if len(ports[port]) == 0 {
			s.Ports = append(s.Ports, private)
		}
		for _, b := range ports[port] {
			public, _ := strconv.Atoi(b.HostPort)
			p := private
			p.IP, p.PublicPort = b.HostIP, uint16(public)
			s.Ports = append(s.Ports, p)
		}
	}
	return s
}

// status is the state in Docker's words.
func (c *ctr) status() string {
	since := units.HumanDuration(time.Since(c.ended))
	switch c.state {
	case container.StateRunning, container.StatePaused:
		text := "Up " + units.HumanDuration(time.Since(c.started))
		if c.health != nil && c.health.Status == container.Starting {
			return text + " (health: starting)"
		}
		if c.health != nil {
			return text + " (" + c.health.Status + ")"
		}
		if c.state == container.StatePaused {
			return text + " (Paused)"
		}
		return text
	case container.StateRestarting:
		return "Restarting (" + strconv.Itoa(c.exitCode) + ") " + since + " ago"
	case container.StateExited:
		return "Exited (" + strconv.Itoa(c.exitCode) + ") " + since + " ago"
	}
	return "Created"
}

// wanted implements the API's filters for containers.
func (e *Engine) wanted(c *ctr, args filters.Args) bool {
	health := container.NoHealthcheck
	if c.health != nil {
		health = c.health.Status
	}
	return args.Match("id", c.id) && (args.Match("name", c.name) || args.Match("name", "/"+c.name)) &&
		args.ExactMatch("status", c.state) && args.ExactMatch("health", health) &&
		args.MatchKVList("label", c.config.Labels) && !(args.Contains("label!") && args.MatchKVList("label!", c.config.Labels)) &&
		(!args.Contains("exited") || c.state == container.StateExited && args.ExactMatch("exited", strconv.Itoa(c.exitCode))) &&
		e.isOn(c, args) && e.isFrom(c, args) && c.mountsWanted(args)
}

func (e *Engine) isOn(c *ctr, args filters.Args) bool {
	return !args.Contains("network") || slices.ContainsFunc(c.endpoints, func(ep *endpoint) bool {
		return args.ExactMatch("network", ep.network.name) || args.FuzzyMatch("network", ep.network.id)
	})
}

func (e *Engine) isFrom(c *ctr, args filters.Args) bool {
	if !args.Contains("ancestor") {
		return true
	}
	return slices.ContainsFunc(args.Get("ancestor"), func(ref string) bool {
		i, err := e.image(ref)
		return err == nil && i.id == c.imageID
	})
}

func (c *ctr) mountsWanted(args filters.Args) bool {
	return !args.Contains("volume") || slices.ContainsFunc(c.mounts, func(m container.MountPoint) bool {
		return args.ExactMatch("volume", m.Name) || args.ExactMatch("volume", m.Destination)
	})
}
