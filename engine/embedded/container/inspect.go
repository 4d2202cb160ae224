package container

import (
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// Surroundings is what views show beyond the record.
type Surroundings struct {
	Dir        string                   // where the container's files are on the host
	LogPath    string                   // "" if it keeps no log
	VolumePath func(name string) string // "" if there is no such volume
	ExecIDs    []string
}

// Names of the files that every container gets, below Surroundings.Dir.
const (
	HostsFile      = "hosts"
	HostnameFile   = "hostname"
	ResolvConfFile = "resolv.conf"
)

// Inspect shows the record in full, in Docker's form.
func Inspect(r *Record, around Surroundings) container.InspectResponse {
	path, args := Command(r.Config)
	if args == nil {
		args = []string{}
	}
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: r.ID, Created: r.Created.UTC().Format(time.RFC3339Nano), Path: path, Args: args,
			State: inspectState(r), Image: r.Image, Name: "/" + r.Name, RestartCount: r.State.RestartCount,
			Driver: "overlay2", Platform: r.Platform, ExecIDs: around.ExecIDs, HostConfig: r.Host, LogPath: around.LogPath,
			HostsPath:      around.Dir + "/" + HostsFile,
			HostnamePath:   around.Dir + "/" + HostnameFile,
			ResolvConfPath: around.Dir + "/" + ResolvConfFile,
			GraphDriver:    storage.DriverData{Name: "overlay2", Data: map[string]string{"UpperDir": around.Dir + "/upper"}},
		},
		Config: r.Config, Mounts: mountPoints(r, around.VolumePath), NetworkSettings: networkSettings(r),
	}
}

func inspectState(r *Record) *container.State {
	s := r.State
	state := &container.State{
		Status: string(s.Phase), Running: s.Active() || s.Phase == lifecycle.Restarting, Paused: s.Phase == lifecycle.Paused,
		Restarting: s.Phase == lifecycle.Restarting, OOMKilled: s.OOMKilled, Dead: s.Phase == lifecycle.Dead, Pid: s.Pid,
		ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.StartedAt.UTC().Format(time.RFC3339Nano), FinishedAt: s.FinishedAt.UTC().Format(time.RFC3339Nano),
	}
	if h := r.Health; h != nil {
		state.Health = &container.Health{Status: h.Status, FailingStreak: h.FailingStreak, Log: h.Log}
	}
	return state
}

func mountPoints(r *Record, volumePath func(string) string) []container.MountPoint {
	points := make([]container.MountPoint, 0, len(r.Mounts))
	for _, m := range r.Mounts {
		p := container.MountPoint{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination,
			Mode: m.Mode, RW: !m.ReadOnly, Propagation: m.Propagation}
		if m.Type == mount.TypeVolume {
			p.Driver = "local"
			if volumePath != nil {
				p.Source = volumePath(m.Name)
			}
			if p.Mode == "" {
				p.Mode = "z"
			}
		}
		points = append(points, p)
	}
	return points
}

func networkSettings(r *Record) *container.NetworkSettings {
	settings := &container.NetworkSettings{Networks: r.Networks()}
	settings.Ports = nat.PortMap{}
	if !r.State.Active() {
		return settings
	}
	settings.SandboxID, settings.SandboxKey = r.ID, namespacePath(r.State.Pid)
	settings.Ports = ports(r)
	if e := r.Live[network.NetworkBridge]; e != nil {
		settings.DefaultNetworkSettings = container.DefaultNetworkSettings{
			EndpointID: e.EndpointID, Gateway: e.Gateway, IPAddress: e.IPAddress, IPPrefixLen: e.IPPrefixLen, MacAddress: e.MacAddress,
			IPv6Gateway: e.IPv6Gateway, GlobalIPv6Address: e.GlobalIPv6Address, GlobalIPv6PrefixLen: e.GlobalIPv6PrefixLen,
		}
	}
	return settings
}

// ports are the published ports and, without bindings, those that are only exposed.
func ports(r *Record) nat.PortMap {
	all := nat.PortMap{}
	if r.Host.NetworkMode.IsHost() || r.Host.NetworkMode.IsContainer() {
		return all
	}
	for port := range r.Config.ExposedPorts {
		all[port] = nil
	}
	for port, bindings := range r.Ports {
		all[port] = bindings
	}
	return all
}
