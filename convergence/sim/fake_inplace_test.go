package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
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
		e.NetworkID, e.IPAddress, e.MacAddress = "id of "+name, "10.0.0.2", "02:42:00:00:00:02"
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

// put is what somebody does by hand.
func (f *fake) put(name, net string, e *network.EndpointSettings) {
	r, _ := f.find(name)
	r.networks[net] = true
	r.endpoints[net] = e
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
