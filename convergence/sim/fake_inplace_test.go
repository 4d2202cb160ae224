package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// inspected adds what can be changed of a container while it stays, as an engine reports it: with what engines fill in.
func (r *record) inspected(out *container.InspectResponse, at time.Time) {
	host := *r.cfg.Host
	if host.RestartPolicy.Name == "" {
		host.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if host.Memory > 0 && host.MemorySwap == 0 {
		host.MemorySwap = 2 * host.Memory
	}
	out.HostConfig = &host
	out.State.StartedAt = at.Format(time.RFC3339Nano)
	out.NetworkSettings = &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}}
	for name := range r.networks {
		e := &network.EndpointSettings{}
		if r.endpoints[name] != nil {
			e = r.endpoints[name].Copy()
		}
		e.NetworkID, e.IPAddress, e.MacAddress = "id of "+name, "10.0.0.2", cmp.Or(strings.ToLower(e.MacAddress), "02:42:00:00:00:02")
		e.Aliases = append(e.Aliases, r.id[:12])
		out.NetworkSettings.Networks[name] = e
	}
}

// ContainerUpdate knows what convergence changes, and refuses what engines refuse.
func (f *fake) ContainerUpdate(ctx context.Context, ref string, u container.UpdateConfig) (container.UpdateResponse, error) {
	var none container.UpdateResponse
	if err := f.write(ctx, "update %s", f.nameOf(ref)); err != nil {
		return none, err
	}
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return none, err
	}
	if swap := r.cfg.Host.MemorySwap; u.Memory > 0 && u.MemorySwap == 0 && (swap > 0 && u.Memory > swap || swap == 0 && u.Memory > 2*r.cfg.Host.Memory && r.cfg.Host.Memory > 0) {
		return none, engine.Errorf(engine.ErrInvalid, "the memory limit of %s is more than memory and swap together", r.name)
	}
	host := *r.cfg.Host
	if u.RestartPolicy.Name != "" {
		host.RestartPolicy = u.RestartPolicy
	}
	for to, value := range map[*int64]int64{
		&host.Memory: u.Memory, &host.MemorySwap: u.MemorySwap, &host.MemoryReservation: u.MemoryReservation, &host.NanoCPUs: u.NanoCPUs,
		&host.CPUShares: u.CPUShares, &host.CPUPeriod: u.CPUPeriod, &host.CPUQuota: u.CPUQuota,
	} {
		if value != 0 {
			*to = value
		}
	}
	if u.CpusetCpus != "" {
		host.CpusetCpus = u.CpusetCpus
	}
	if u.PidsLimit != nil {
		host.PidsLimit = u.PidsLimit
		if *u.PidsLimit <= 0 {
			host.PidsLimit = nil
		}
	}
	r.cfg.Host = &host // the weight of block I/O is what this kernel does not know
	return none, nil
}

// effective are all settings of the container as they count: by its labels what cannot change, and the rest as it is.
func (r *record) effective() string {
	made, _ := desired.Unpack(r.cfg.Config.Labels[desired.LabelConfig])
	var out container.InspectResponse
	out.ContainerJSONBase = &container.ContainerJSONBase{State: &container.State{}}
	r.inspected(&out, time.Time{})
	for _, e := range out.NetworkSettings.Networks {
		e.MacAddress, e.Aliases = "", slices.DeleteFunc(e.Aliases, func(alias string) bool { return alias == r.id[:12] })
	}
	fixed := slices.DeleteFunc(made, func(s desired.Setting) bool { return desired.Mutable(s.Name) || s.Name == "NetworkMode" })
	return fmt.Sprint(fixed, desired.Reported(out.HostConfig, out.NetworkSettings.Networks))
}

// has says whether the container has the volume that a filter names.
func (r *record) has(args filters.Args) bool {
	return !args.Contains("volume") || slices.ContainsFunc(r.mounts, func(m container.MountPoint) bool { return args.ExactMatch("volume", m.Name) })
}

// byHand does to the engine what the first line of an archive of plans says: "update:x-web-1:restart=always,memory=5".
func (f *fake) byHand(verb, rest string) bool {
	subject, what, _ := strings.Cut(rest, ":")
	r, err := f.find(subject)
	if err != nil && verb != "foreign" {
		return false
	}
	switch verb {
	case "dead", "removing", "created":
		r.status = container.ContainerState(verb)
	case "update":
		host := *r.cfg.Host
		for change := range strings.SplitSeq(what, ",") {
			name, value, _ := strings.Cut(change, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "restart":
				host.RestartPolicy.Name = container.RestartPolicyMode(value)
			case "memory":
				host.Memory, host.MemorySwap = n, 2*n
			}
		}
		r.cfg.Host = &host
	case "connect": // as other tools do: without aliases
		if f.networks[what] == nil {
			f.networks[what] = &network.Inspect{Name: what, ID: f.id()}
		}
		r.networks[what], r.endpoints[what] = true, nil
	case "started":
		r.started, _ = time.Parse(time.RFC3339, what)
	case "rename":
		r.name = what
	case "gone":
		delete(f.containers, r.id)
	case "foreign": // a container of nobody's project, on a network or with a volume
		foreign := &record{id: f.id(), name: subject, status: container.StateRunning, networks: map[string]bool{what: true}}
		foreign.cfg.Config, foreign.cfg.Host = &container.Config{}, &container.HostConfig{}
		foreign.mounts = []container.MountPoint{{Type: mount.TypeVolume, Name: what}}
		f.containers[foreign.id] = foreign
	default:
		return false
	}
	return true
}

func (f *fake) NetworkInspect(_ context.Context, ref string, _ network.InspectOptions) (network.Inspect, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.network(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	out := *n
	out.Containers = map[string]network.EndpointResource{}
	for _, r := range f.containers {
		if r.networks[n.Name] && slices.Contains([]string{"running", "paused"}, r.status) {
			out.Containers[r.id] = network.EndpointResource{Name: r.name}
		}
	}
	return out, nil
}
