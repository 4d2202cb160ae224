package embedded

import (
	"maps"
	"slices"
	"strings"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime/spec"
)

// network makes the container's sandbox or opens the one that it shares.
func (a *attempt) network() error {
	e, r := a.engine, &a.record
	if r.Host.NetworkMode.IsContainer() {
		return nil // it is joined when the specification is made
	}
	if err := a.refreshNetworks(); err != nil {
		return err
	}
	ports, err := network.ParsePorts(r.Config.ExposedPorts, r.Host.PortBindings, r.Host.PublishAllPorts)
	if err != nil {
		return err
	}
	a.sandbox, err = e.networks.NewSandbox(r.ID, network.Attachments(string(r.Host.NetworkMode), a.linkedEndpoints()), ports, network.SandboxOptions{
		Name: r.Name, Aliases: sandboxAliases(r), Resolver: hasBridge(r), Sysctls: netSysctls(r),
		TakesOver: e.predecessor(r), Unready: r.Health != nil && r.Config.Labels[engine.LabelTakesOver] != "",
	})
	if err != nil {
		return err
	}
	a.onFailure(func() error { return e.networks.Release(r.ID) })
	return nil
}

// refreshNetworks follows networks that were removed and made again under their names while the container did not run.
func (a *attempt) refreshNetworks() error {
	fresh := maps.Clone(a.record.Endpoints)
	for name, asked := range fresh {
		id, _, err := a.engine.networks.Resolve(name)
		if err != nil {
			return err
		}
		if id != asked.NetworkID {
			endpoint := asked.Copy()
			endpoint.NetworkID = id
			fresh[name] = endpoint
		}
	}
	a.record.Endpoints = fresh
	a.container.Change(func(r *container.Record) { r.Endpoints = fresh })
	return nil
}

// running returns the record of a container whose namespace another one shares.
func (e *Engine) running(ref, what string) (container.Record, error) {
	r, err := e.record(ref)
	if err != nil {
		return r, err
	}
	if !r.State.Active() {
		return r, engine.Errorf(engine.ErrConflict, "cannot join the %s of container %s: it does not run", what, r.Name)
	}
	return r, nil
}

// sandboxAliases are the names that a container has beside its own on every network.
func sandboxAliases(r *container.Record) []string {
	aliases := []string{r.ShortID()}
	if r.Config.Hostname != "" && r.Config.Hostname != r.ShortID() {
		aliases = append(aliases, r.Config.Hostname)
	}
	return aliases
}

// isPredefined reports whether the network is one of those that are always there, on which no names resolve.
func isPredefined(name string) bool {
	return slices.Contains([]string{dockernet.NetworkBridge, dockernet.NetworkHost, dockernet.NetworkNone}, name)
}

func hasUserNetwork(r *container.Record) bool {
	for name := range r.Endpoints {
		if !isPredefined(name) {
			return true
		}
	}
	return false
}

// hasBridge reports whether the container has an address on some network, and therefore a name server: it can be
// connected to a network with names while it runs.
func hasBridge(r *container.Record) bool {
	return !r.Host.NetworkMode.IsHost() && !r.Host.NetworkMode.IsNone() && len(r.Endpoints) > 0
}

// netSysctls are the settings of the network namespace; the runtime sets the others.
func netSysctls(r *container.Record) map[string]string {
	settings := map[string]string{}
	for name, value := range r.Host.Sysctls {
		if strings.HasPrefix(name, "net.") {
			settings[name] = value
		}
	}
	return settings
}

// linkedEndpoints are the container's endpoints with the links of its HostConfig, which hold on user-defined networks.
func (a *attempt) linkedEndpoints() map[string]*dockernet.EndpointSettings {
	r := &a.record
	endpoints := map[string]*dockernet.EndpointSettings{}
	for name, asked := range r.Endpoints {
		endpoints[name] = asked.Copy()
		if !isPredefined(name) {
			endpoints[name].Links = append(endpoints[name].Links, r.Host.Links...)
		}
	}
	return endpoints
}

// live returns the record's endpoints as the sandbox has them; made is by network ID.
func live(r *container.Record, made map[string]*dockernet.EndpointSettings) map[string]*dockernet.EndpointSettings {
	endpoints := make(map[string]*dockernet.EndpointSettings, len(made))
	for name, asked := range r.Endpoints {
		if endpoint := made[asked.NetworkID]; endpoint != nil {
			endpoints[name] = merged(r, name, asked, endpoint)
		}
	}
	return endpoints
}

// merged shows what was asked for with the addresses that came of it.
func merged(r *container.Record, name string, asked, live *dockernet.EndpointSettings) *dockernet.EndpointSettings {
	e := live.Copy()
	e.IPAMConfig, e.Links, e.Aliases, e.DriverOpts, e.GwPriority = asked.IPAMConfig, asked.Links, asked.Aliases, asked.DriverOpts, asked.GwPriority
	e.NetworkID = asked.NetworkID
	if !isPredefined(name) && len(e.DNSNames) == 0 {
		e.DNSNames = dnsNames(r, asked.Aliases)
	}
	return e
}

func dnsNames(r *container.Record, aliases []string) []string {
	names := []string{r.Name}
	for _, name := range append(slices.Clone(aliases), sandboxAliases(r)...) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// withoutLinks takes out what is done by the name server and by /etc/hosts, not by the process's specification.
func withoutLinks(h *dockercontainer.HostConfig) *dockercontainer.HostConfig {
	plain := *h
	plain.Links = nil
	return &plain
}

// spec makes the runtime specification.
func (a *attempt) spec(mounts []specs.Mount) (*specs.Spec, error) {
	r := &a.record
	in := spec.Input{
		ID: r.ID, Hostname: r.Config.Hostname, Config: r.Config, Host: withoutLinks(r.Host), Mounts: mounts,
		CgroupsPath: cgroupPath(r), CgroupV2: unifiedCgroups(),
	}
	if r.Host.NetworkMode.IsContainer() {
		path, other, err := a.join(r.Host.NetworkMode.ConnectedContainer(), "net", "network")
		if err != nil {
			return nil, err
		}
		in.Namespaces.Network, in.Hostname = path, other.Config.Hostname
		a.netns = a.joined[len(a.joined)-1]
	}
	if r.Host.PidMode.IsContainer() {
		path, _, err := a.join(r.Host.PidMode.Container(), "pid", "processes")
		if err != nil {
			return nil, err
		}
		in.Namespaces.PID = path
	}
	if r.Host.IpcMode.IsContainer() {
		path, _, err := a.join(r.Host.IpcMode.Container(), "ipc", "IPC")
		if err != nil {
			return nil, err
		}
		in.Namespaces.IPC = path
	}
	s, err := spec.Build(in)
	if err != nil {
		return nil, err
	}
	fitRlimits(s, r.Host.Ulimits)
	return s, nil
}
