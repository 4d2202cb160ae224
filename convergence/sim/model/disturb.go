package model

import (
	"math/rand/v2"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/state"
)

// Disturb is what people and accidents do to a project, here and there.
func (w *World) Disturb(rnd *rand.Rand) {
	for i := 0; i < len(w.State.Containers); i++ {
		c := &w.State.Containers[i]
		switch rnd.IntN(40) {
		case 0:
			w.State.Containers = slices.Delete(w.State.Containers, i, i+1)
			i--
		case 1:
			w.exit(c, rnd.IntN(2))
		case 2:
			w.exit(c, 1)
			c.Status = state.Dead
		case 3:
			if c.Status == state.Running {
				c.Status = state.Paused
			}
		case 4:
			w.alone(c)
		case 5:
			c.Name += "-renamed"
		case 6:
			if c.Status == state.Running && c.Health == state.Healthy {
				c.Health = state.Unhealthy
			}
		case 7:
			w.copyOf(*c)
		case 8:
			w.oneOff(*c, rnd)
		case 9, 10:
			w.drift(c, rnd)
		}
	}
	w.disturbImages(rnd)
	w.sort()
}

// alone takes the container off its networks.
func (w *World) alone(c *state.Container) {
	for _, name := range c.Networks {
		w.disconnected(c, name)
	}
	c.Networks = nil
}

// drift is what somebody has changed by hand.
func (w *World) drift(c *state.Container, rnd *rand.Rand) {
	a := w.adjusted[c.ID]
	host := *a.host
	switch rnd.IntN(3) {
	case 0:
		host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 3}
	case 1:
		host.Memory, host.MemorySwap = 100<<20, 200<<20
	case 2:
		if len(c.Networks) > 0 {
			w.connected(c, c.Networks[0], &network.EndpointSettings{})
		}
		return
	}
	a.host = &host
	w.adjust(c, a)
}

// copyOf is a container that claims to be one that is there: somebody interrupted its replacement.
func (w *World) copyOf(c state.Container) {
	id := w.IDs()
	w.made[id], w.adjusted[id] = w.made[c.ID], w.adjusted[c.ID]
	c.ID, c.Name, c.Created = id, id[:12]+"_"+c.Name, w.now()
	w.exit(&c, 0)
	c.Status = state.Created
	w.State.Containers = append(w.State.Containers, c)
}

// oneOff is a container of "run", which goes on or is over.
func (w *World) oneOff(c state.Container, rnd *rand.Rand) {
	id := w.IDs()
	w.made[id], w.adjusted[id] = made{}, w.adjusted[c.ID]
	c.ID, c.Name, c.Number, c.OneOff, c.Created = id, "x-run-"+id[:12], 0, true, w.now()
	c.Anonymous, c.Ports = nil, nil
	if one(rnd, 2) {
		w.exit(&c, 0)
	}
	w.State.Containers = append(w.State.Containers, c)
}

// disturbImages gives references another image, or none.
func (w *World) disturbImages(rnd *rand.Rand) {
	for _, ref := range Images {
		switch rnd.IntN(12) {
		case 0:
			w.State.Images[ref] = state.Image{ID: w.IDs()}
			w.Remote[ref] = w.State.Images[ref].ID
		case 1:
			delete(w.State.Images, ref)
		case 2:
			w.Remote[ref] = w.IDs()
		}
	}
}

// Furnish gives the world images, as somebody pulls them, and says that the rest can be pulled.
func (w *World) Furnish(rnd *rand.Rand) {
	for _, ref := range Images {
		w.Remote[ref] = w.IDs()
		if !one(rnd, 4) {
			w.State.Images[ref] = state.Image{ID: w.Remote[ref]}
		}
	}
}
