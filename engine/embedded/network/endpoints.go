package network

import (
	"errors"
	"net/netip"
	"os"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// Attach connects a running container to one more network. netns is the path of its network namespace, for example
// "/proc/123/ns/net". ErrConflict: it is connected already.
func (m *Manager) Attach(containerID, netns string, a Attachment) (*network.EndpointSettings, error) {
	c, n, err := m.pair(containerID, a.Network)
	if err != nil {
		return nil, err
	}
	if n.driver != driverBridge || c.Private {
		return nil, engine.Errorf(engine.ErrForbidden, "container %s cannot be connected to network %s: host and none go with no other network", c.Name, n.Name)
	}
	if err := m.activate(n); err != nil {
		return nil, err
	}
	var e *endpoint
	err = m.rewire(c, netns, func() (err error) {
		e, err = m.join(c, n, a.Settings)
		return err
	}, func() error {
		i, err := e.device()
		if err != nil {
			return err
		}
		return m.links.Plug(netns, i)
	})
	if err != nil {
		m.mu.Lock()
		if e != nil {
			m.part(e)
		}
		m.mu.Unlock()
		m.sweeper.later()
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.settings(), nil
}

// Detach disconnects a running container from a network. ErrNotFound: it is not connected.
func (m *Manager) Detach(containerID, netns, ref string) error {
	c, n, err := m.pair(containerID, ref)
	if err != nil {
		return err
	}
	var e *endpoint
	return m.rewire(c, netns, func() error {
		if e = n.endpoints[c.ID]; e == nil {
			return engine.Errorf(engine.ErrNotFound, "container %s is not connected to network %s", c.Name, n.Name)
		}
		m.part(e)
		return nil
	}, func() error { return m.links.DeleteLinks(e.Host) })
}

// pair finds a container that has a sandbox, and a network.
func (m *Manager) pair(containerID, ref string) (*container, *segment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(ref)
	if err != nil {
		return nil, nil, err
	}
	c := m.containers[containerID]
	if c == nil {
		return nil, nil, engine.Errorf(engine.ErrConflict, "container %s has no network of its own", shortID(containerID))
	}
	return c, n, nil
}

// rewire changes a running container's endpoints: first the records, under the lock, then the links. If that gives the
// container another way to the world, its default route and its published ports follow.
func (m *Manager) rewire(c *container, netns string, record, wire func() error) error {
	m.mu.Lock()
	before, portsBefore := c.gateway(), c.elements()
	err := record()
	after, portsAfter := c.gateway(), c.elements()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := wire(); err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot change the networks of container %s: %w", c.Name, err)
	}
	if before != after {
		var gateway netip.Addr
		if after != nil {
			gateway = after.network.Gateway
		}
		// A container that has exited meanwhile needs no route.
		if err := m.links.SetGateway(netns, gateway); err != nil && !errors.Is(err, os.ErrNotExist) {
			return engine.Errorf(engine.ErrInternal, "cannot change the default route of container %s: %w", c.Name, err)
		}
	}
	if err := m.swap(portsBefore, portsAfter); err != nil {
		return err
	}
	return m.saveContainer(c)
}

// Release gives back the addresses, ports, rules and links of a container that has exited. Releasing what has nothing
// is not an error.
func (m *Manager) Release(containerID string) error {
	m.mu.Lock()
	c := m.containers[containerID]
	m.mu.Unlock()
	if c == nil {
		return nil
	}
	return m.release(c)
}

// Endpoints returns the settings of a running container's endpoints by network ID and its published ports, nil if it
// has none.
func (m *Manager) Endpoints(containerID string) (map[string]*network.EndpointSettings, nat.PortMap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.containers[containerID]
	if c == nil {
		return nil, nil
	}
	return c.settings(), portMap(c.Ports)
}

// settings are those of all endpoints by network ID.
func (c *container) settings() map[string]*network.EndpointSettings {
	all := map[string]*network.EndpointSettings{}
	for _, e := range c.Endpoints {
		all[e.Network] = e.settings()
	}
	return all
}

// Rename gives a container another name, for messages and for the name table. One without a sandbox is not an error.
func (m *Manager) Rename(containerID, name string) error {
	m.mu.Lock()
	c := m.containers[containerID]
	if c != nil {
		c.Name = name
	}
	m.mu.Unlock()
	if c == nil {
		return nil
	}
	return m.saveContainer(c)
}
