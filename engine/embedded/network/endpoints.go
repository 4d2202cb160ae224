package network

import (
	"errors"
	"net/netip"
	"os"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

// Attach connects a running container to one more network. netns names its network namespace; see
// Options.OpenNamespace. ErrConflict: it is connected already.
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
	m.mu.Lock()
	before := c.way()
	e, err := m.join(c, n, a.Settings)
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := m.plug(c, netns, e, before); err != nil {
		return nil, errors.Join(err, m.unplug(c, netns, e))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.settings(), nil
}

// plug makes the endpoint's link and whatever changes with it.
func (m *Manager) plug(c *container, netns string, e *endpoint, before way) error {
	i, err := e.device()
	if err != nil {
		return err
	}
	if err := m.links.Plug(netns, i); err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot connect container %s to network %s: %w", c.Name, e.network.Name, err)
	}
	if err := m.follow(c, netns, before); err != nil {
		return err
	}
	return m.saveContainer(c)
}

// unplug is the reverse of join and plug. It goes on after an error; a link that could not be deleted is nobody's now,
// and the sweeper tries again.
func (m *Manager) unplug(c *container, netns string, e *endpoint) error {
	m.mu.Lock()
	before := c.way()
	m.part(e)
	m.mu.Unlock()
	err := m.links.DeleteLinks(e.Host)
	if err != nil {
		m.sweeper.later()
		err = engine.Errorf(engine.ErrInternal, "cannot disconnect container %s from network %s: %w", c.Name, e.network.Name, err)
	}
	return errors.Join(err, m.follow(c, netns, before), m.saveContainer(c))
}

// Detach disconnects a running container from a network. ErrNotFound: it is not connected.
func (m *Manager) Detach(containerID, netns, ref string) error {
	c, n, err := m.pair(containerID, ref)
	if err != nil {
		return err
	}
	m.mu.Lock()
	e := n.endpoints[c.ID]
	m.mu.Unlock()
	if e == nil {
		return engine.Errorf(engine.ErrNotFound, "container %s is not connected to network %s", c.Name, n.Name)
	}
	return m.unplug(c, netns, e)
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

// way is how a container and the world reach each other.
type way struct {
	gateway *endpoint
	ports   nft.Elements
}

// way returns the container's present one. The caller holds the lock.
func (c *container) way() way { return way{c.gateway(), c.elements()} }

// follow changes a running container's default route and its published ports if another way than before is now right.
func (m *Manager) follow(c *container, netns string, before way) error {
	m.mu.Lock()
	now := c.way()
	m.mu.Unlock()
	if before.gateway == now.gateway {
		return nil
	}
	return errors.Join(m.reroute(c, netns), m.swap(before.ports, now.ports))
}

// reroute sets a running container's default route. Repair tries again what fails.
func (m *Manager) reroute(c *container, netns string) error {
	m.mu.Lock()
	var gateway netip.Addr
	if e := c.gateway(); e != nil {
		gateway = e.network.Gateway
	}
	c.astray = netns
	m.mu.Unlock()
	err := m.links.SetGateway(netns, gateway)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a container that has exited meanwhile needs no route
		return engine.Errorf(engine.ErrInternal, "cannot change the default route of container %s: %w", c.Name, err)
	}
	m.mu.Lock()
	c.astray = ""
	m.mu.Unlock()
	return nil
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
	c, old := m.rename(containerID, name)
	if c == nil {
		return nil
	}
	if err := m.saveContainer(c); err != nil {
		m.rename(containerID, old)
		return err
	}
	return nil
}

func (m *Manager) rename(containerID, name string) (c *container, old string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c = m.containers[containerID]; c != nil {
		c.Name, old = name, c.Name
	}
	return c, old
}
