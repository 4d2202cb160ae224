package model

import (
	"maps"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// adjusted is what of a container changes while it stays. Neither part is changed in place.
type adjusted struct {
	host      *container.HostConfig
	endpoints map[string]*network.EndpointSettings
}

// adjust notes what a container has become, and reports it as engines do.
func (w *World) adjust(c *state.Container, a adjusted) {
	w.adjusted[c.ID] = a
	if c.OneOff {
		return // nobody looks at it closely
	}
	c.Mutable = desired.Reported(a.host, a.endpoints)
	if c.Mutable == nil {
		c.Mutable = desired.Settings{}
	}
}

// filledIn is the configuration with what engines add to it: as much swap again as memory, and a name for no policy.
func (w *World) filledIn(host *container.HostConfig) *container.HostConfig {
	if w.Bare {
		return host
	}
	own := *host
	if own.Memory != 0 && own.MemorySwap == 0 {
		own.MemorySwap = 2 * own.Memory
	}
	if own.RestartPolicy.Name == "" {
		own.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	return &own
}

// created notes what a new container was made with.
func (w *World) created(c *state.Container, op *plan.CreateContainer) {
	a := adjusted{host: w.filledIn(op.Config.Host)}
	if op.Config.Networking != nil {
		a.endpoints = op.Config.Networking.EndpointsConfig
	}
	w.adjust(c, a)
}

// connected notes how a container was put on a network.
func (w *World) connected(c *state.Container, name string, settings *network.EndpointSettings) {
	a := w.adjusted[c.ID]
	a.endpoints = maps.Clone(a.endpoints)
	if a.endpoints == nil {
		a.endpoints = make(map[string]*network.EndpointSettings)
	}
	a.endpoints[name] = settings
	w.adjust(c, a)
}

// disconnected forgets it.
func (w *World) disconnected(c *state.Container, name string) {
	a := w.adjusted[c.ID]
	a.endpoints = maps.Clone(a.endpoints)
	delete(a.endpoints, name)
	w.adjust(c, a)
}

// update changes a container in place: what is zero stays as it is.
func (w *World) update(op *plan.UpdateContainer) error {
	c, err := w.container(op.Container)
	if err != nil {
		return err
	}
	a := w.adjusted[c.ID]
	host, to := *a.host, op.Config
	for _, field := range []struct{ to, from *int64 }{
		{&host.Memory, &to.Memory}, {&host.MemorySwap, &to.MemorySwap}, {&host.MemoryReservation, &to.MemoryReservation},
		{&host.NanoCPUs, &to.NanoCPUs}, {&host.CPUShares, &to.CPUShares}, {&host.CPUPeriod, &to.CPUPeriod}, {&host.CPUQuota, &to.CPUQuota},
	} {
		if *field.from != 0 {
			*field.to = *field.from
		}
	}
	if to.RestartPolicy.Name != "" {
		host.RestartPolicy = to.RestartPolicy
	}
	if to.PidsLimit != nil {
		host.PidsLimit = to.PidsLimit
	}
	a.host = &host
	w.adjust(c, a)
	return nil
}
