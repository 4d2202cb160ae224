package network

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

// Attachment connects a container to a network.
type Attachment struct {
	Network  string                    // name or ID
	Settings *network.EndpointSettings // aliases, links, fixed addresses, driver options, priority of the gateway; may be nil
}

// Attachments sorts a container's networks into the order of its interfaces: the one of its network mode first, the
// others by name. A network mode that is a network's name and not among the endpoints counts as one.
func Attachments(mode string, endpoints map[string]*network.EndpointSettings) []Attachment {
	var list []Attachment
	for name, settings := range endpoints {
		list = append(list, Attachment{name, settings})
	}
	if _, ok := endpoints[mode]; !ok && mode != "" && (len(endpoints) == 0 || mode != network.NetworkDefault) {
		list = append(list, Attachment{Network: mode})
	}
	last := func(a Attachment) int {
		if a.Network == mode {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b Attachment) int {
		return cmp.Or(last(a)-last(b), cmp.Compare(a.Network, b.Network))
	})
	return list
}

// SandboxOptions are what a sandbox needs to know about its container beyond addresses and ports.
type SandboxOptions struct {
	Name    string   // the container's name, without a slash, for messages and name resolution
	Aliases []string // further names on every user-defined network, such as the host name

	// Resolver redirects port 53 of 127.0.0.11 inside the sandbox to Sandbox.ResolverPort.
	Resolver bool

	Sysctls map[string]string // net.* settings, written before any process runs in the sandbox

	// TakesOver is the ID of a container whose place this one takes: host ports that only the other one has become this
	// one's when the other begins to end. See Manager.HandOver.
	TakesOver string

	// Unready leaves the container out of Names where others have a name, too, until Manager.Ready.
	Unready bool
}

// Sandbox is a network namespace with everything its container asked for.
type Sandbox struct {
	file      *os.File
	resolver  uint16
	networks  []string
	outside   bool
	waits     []string
	endpoints map[string]*network.EndpointSettings
	manager   *Manager
	container *container
}

// NewSandbox makes the network namespace of a container that is about to start, or nothing for the network host, whose
// File is nil. The attachments become eth0, eth1 and so on in their order. On an error nothing is left behind.
// ErrConflict: a port or an address is taken, by the container that the message names. ErrNotFound: no such network.
//
// A container has one sandbox: Release it before making another.
func (m *Manager) NewSandbox(containerID string, attachments []Attachment, ports []Port, opts SandboxOptions) (*Sandbox, error) {
	c := &container{ID: containerID, Name: cmp.Or(opts.Name, shortID(containerID)), Aliases: opts.Aliases, Made: time.Now(),
		TakesOver: opts.TakesOver, Unready: opts.Unready}
	segments, err := m.lookUp(c, attachments)
	if err != nil {
		return nil, err
	}
	if len(segments) > 0 && segments[0].driver == driverHost {
		return &Sandbox{}, nil
	}
	for _, n := range segments {
		if err := m.activate(n); err != nil {
			return nil, err
		}
	}
	if err := m.reserve(c, segments, attachments, ports); err != nil {
		return nil, err
	}
	s := &Sandbox{manager: m, container: c, waits: c.waits}
	if opts.Resolver {
		s.resolver = resolverPort()
	}
	if s.file, err = m.build(c, segments, kernel.Namespace{Resolver: s.resolver, Sysctls: opts.Sysctls}); err != nil {
		return nil, errors.Join(err, m.release(c))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.endpoints = c.settings()
	s.networks = c.resolverNetworks()
	s.outside = c.reachesOutside()
	return s, nil
}

// resolverPort picks where the resolver listens: one of the ports that programs get when they do not ask for one, so
// that none misses it.
func resolverPort() uint16 {
	const first, last = 32768, 60999
	return first + rand.N[uint16](last-first+1)
}

// lookUp finds the networks and checks that they go together.
func (m *Manager) lookUp(c *container, attachments []Attachment) ([]*segment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.containers[c.ID] != nil {
		return nil, engine.Errorf(engine.ErrConflict, "container %s has a sandbox already", c.Name)
	}
	var segments []*segment
	for _, a := range attachments {
		n, err := m.find(a.Network)
		if err != nil {
			return nil, err
		}
		if n.driver != driverBridge && len(attachments) > 1 {
			return nil, engine.Errorf(engine.ErrInvalid, "container %s cannot be on other networks beside %q", c.Name, n.Name)
		}
		segments = append(segments, n)
	}
	return segments, nil
}

// reserve takes addresses and ports, all or none.
func (m *Manager) reserve(c *container, segments []*segment, attachments []Attachment, ports []Port) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.containers[c.ID] != nil {
		return engine.Errorf(engine.ErrConflict, "container %s has a sandbox already", c.Name)
	}
	m.containers[c.ID] = c
	err := func() error {
		for i, n := range segments {
			if n.driver == driverNull {
				c.Private = true
				continue
			}
			e, err := m.join(c, n, attachments[i].Settings)
			if err != nil {
				return err
			}
			if _, err := e.device(); err != nil {
				return err
			}
		}
		return m.publish(c, ports)
	}()
	if err != nil {
		m.forget(c)
	}
	return err
}

// publish finds ports of the host. A container that the world does not reach publishes none. The caller holds the lock.
func (m *Manager) publish(c *container, ports []Port) error {
	gateway := c.gateway()
	if gateway == nil {
		return nil
	}
	for _, p := range ports {
		ip := p.HostIP
		if !ip.IsValid() {
			ip = gateway.network.hostBinding
		}
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		r := Reservation{HostIP: ip, Proto: p.Proto, Chosen: p.First != p.Last}
		later, ok := m.promise(p, r, c) // rather than another one of a range: who asks at that port goes on being answered
		if !ok {
			var err error
			if r, err = m.ports.pick(p, ip, c, 0); err == nil {
				c.Ports = append(c.Ports, &published{Port: p, Reservation: r})
				continue
			}
			return engine.Errorf(engine.ErrConflict, "cannot publish port %d/%s of container %s: %w", p.Container, p.Proto, c.Name, err)
		}
		c.Ports, c.waits = append(c.Ports, later), append(c.waits, later.Waits)
	}
	return nil
}

// forget is the reverse of reserve. The caller holds the lock.
func (m *Manager) forget(c *container) {
	if m.containers[c.ID] != c {
		return
	}
	delete(m.containers, c.ID)
	for _, e := range c.Endpoints {
		m.part(e)
	}
	for _, p := range c.Ports {
		if p.Waits == "" {
			m.ports.free(p.Reservation, c)
		}
	}
}

// build makes what was reserved, while the record is being written.
func (m *Manager) build(c *container, segments []*segment, ns kernel.Namespace) (*os.File, error) {
	// Filtered within the bridge, a packet to an own published port turns round there and not in the host.
	hairpin := len(c.Ports) > 0 && m.links.FiltersBridged()
	for _, e := range c.Endpoints {
		i, err := e.device()
		if err != nil {
			return nil, err
		}
		i.Hairpin = hairpin
		ns.Interfaces = append(ns.Interfaces, i)
	}
	if gateway := c.gateway(); gateway != nil {
		ns.Gateway = gateway.network.Gateway
	}
	beside := make(chan error, 2)
	go func() { beside <- m.saveContainer(c) }()
	go func() { beside <- m.openPorts(c) }()
	file, err := m.links.NewNamespace(ns)
	if errors.Is(err, unix.ENODEV) { // somebody deleted a bridge
		if err = m.repairAll(segments); err == nil {
			file, err = m.links.NewNamespace(ns)
		}
	}
	if err != nil {
		err = engine.Errorf(engine.ErrInternal, "cannot make the network of container %s: %w", c.Name, err)
	}
	err = errors.Join(err, <-beside, <-beside)
	if err != nil && file != nil {
		err = errors.Join(err, file.Close())
		file = nil
	}
	return file, err
}

// openPorts leads the published ports to the container.
func (m *Manager) openPorts(c *container) error {
	m.mu.Lock()
	elements := c.elements()
	var datagrams []uint16
	for _, r := range c.reserved() {
		if r.Proto == "udp" {
			datagrams = append(datagrams, r.Port)
		}
	}
	m.mu.Unlock()
	if err := m.swap(nft.Elements{}, elements); err != nil {
		return err
	}
	if err := m.links.ForgetDatagrams(datagrams); err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot publish ports: %w", err)
	}
	return nil
}

// release gives everything back that the container has. Ports that others wait for are theirs now. The rest is free for
// others when nothing leads to it any more, the addresses likewise.
func (m *Manager) release(c *container) error {
	err := errors.Join(m.withdraw(c), m.unrecord(c.ID))
	if len(c.Endpoints) > 0 {
		m.sweeper.later()
	}
	return err
}

// withdraw is release without the record.
func (m *Manager) withdraw(c *container) error {
	m.handing.Lock() // nothing is handed to the container any more
	defer m.handing.Unlock()
	_, err := m.handOver(c.ID)
	m.mu.Lock()
	ports := c.elements()
	m.mu.Unlock()
	failed := err != nil
	err = errors.Join(err, m.swap(ports, nft.Elements{}))
	m.mu.Lock()
	m.forget(c)
	m.mu.Unlock()
	if failed {
		err = errors.Join(err, m.succeed())
	}
	return err
}

// File is the network namespace, to be handed to the process that starts the container; nil for the network host.
func (s *Sandbox) File() *os.File { return s.file }

// Close closes File. The namespace goes on as long as a process is in it.
func (s *Sandbox) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// ResolverPort is where, inside the sandbox, a resolver must listen on 127.0.0.11 by UDP and TCP; 0 without resolver.
func (s *Sandbox) ResolverPort() uint16 { return s.resolver }

// ResolverNetworks are the keys of Names in which the container's names are looked up, in this order.
func (s *Sandbox) ResolverNetworks() []string { return s.networks }

// ReachesOutside reports whether one of the networks is not internal.
func (s *Sandbox) ReachesOutside() bool { return s.outside }

// Endpoints are the settings of every attachment with the addresses filled in, by network ID.
func (s *Sandbox) Endpoints() map[string]*network.EndpointSettings { return s.endpoints }

// Ports are the published ports in Docker's form, with the host ports that were chosen.
func (s *Sandbox) Ports() nat.PortMap {
	if s.container == nil {
		return nil
	}
	s.manager.mu.Lock()
	defer s.manager.mu.Unlock()
	return portMap(s.container.Ports)
}

// Waits are the IDs of the containers that had ports which were promised to this one when it was made. Manager.Claim, and
// Manager.Reserved of all of them, tell what became of the ports.
func (s *Sandbox) Waits() []string { return s.waits }

// Reservations are the host ports that must be held by listening sockets while the container runs, without those that
// were promised to it.
func (s *Sandbox) Reservations() []Reservation {
	if s.container == nil {
		return nil
	}
	s.manager.mu.Lock()
	defer s.manager.mu.Unlock()
	var list []Reservation
	for _, p := range s.container.Ports {
		if !p.promised {
			list = append(list, p.Reservation)
		}
	}
	return list
}
