package network

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/ipam"
)

// Names of the networks that are always there.
const (
	nameBridge = network.NetworkBridge
	nameHost   = network.NetworkHost
	nameNone   = network.NetworkNone
)

// driver is what a network is made of.
const (
	driverBridge = "bridge"
	driverHost   = "host"
	driverNull   = "null"
)

// networkRecord is what the Store keeps of a network.
type networkRecord struct {
	ID      string
	Name    string
	Created time.Time
	Options network.CreateOptions
	addressing
}

// segment is a network with what follows from its record and who is on it.
type segment struct {
	networkRecord
	config
	driver     string
	predefined bool

	space     *ipam.Space
	endpoints map[string]*endpoint // by container ID
	wanted    bool                 // the bridge is in the kernel or on its way there

	// activation guards active, which tells that the bridge and its rules are in the kernel. It is taken before the
	// Manager's lock, never while holding it.
	activation sync.Mutex
	active     bool
	removed    bool
}

// link is the name of the network's bridge.
func (n *segment) link() string {
	if n.bridge != "" {
		return n.bridge
	}
	return "st" + n.ID[:10]
}

// resolves tells whether containers find each other by name on the network.
func (n *segment) resolves() bool { return n.driver == driverBridge && !n.predefined }

// newID is 64 random hexadecimal digits.
func newID() string {
	id := make([]byte, 32)
	_, _ = rand.Read(id) // cannot fail, says its documentation
	return hex.EncodeToString(id)
}

// Create makes a network and returns its ID. ErrConflict: the name is taken. ErrInvalid: a bad subnet, gateway or
// option, or a subnet that overlaps another network's or one of the host's, which the message names. ErrUnsupported: a
// driver other than bridge. Nothing changes in the kernel until a container connects.
func (m *Manager) Create(name string, opts network.CreateOptions) (string, error) {
	n, err := newNetwork(name, opts)
	if err != nil {
		return "", err
	}
	routes, err := m.foreignRoutes()
	if err != nil {
		return "", err
	}
	if err := m.enter(n, routes); err != nil {
		return "", err
	}
	if err := m.saveNetwork(n); err != nil {
		m.mu.Lock()
		delete(m.networks, n.ID)
		m.mu.Unlock()
		return "", err
	}
	return n.ID, nil
}

// newNetwork checks everything that can be checked without knowing the other networks.
func newNetwork(name string, opts network.CreateOptions) (*segment, error) {
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, "/\x00") {
		return nil, engine.Errorf(engine.ErrInvalid, "invalid network name %q", name)
	}
	fail := func(kind error, format string, args ...any) (*segment, error) {
		return nil, engine.Errorf(kind, "cannot create network "+name+": "+format, args...)
	}
	switch opts.Driver {
	case "", driverBridge:
		opts.Driver = driverBridge
	case driverHost, driverNull:
		return fail(engine.ErrForbidden, "there is one network of driver %q only", opts.Driver)
	default:
		return fail(engine.ErrUnsupported, "driver %q is not supported", opts.Driver)
	}
	switch {
	case opts.EnableIPv6 != nil && *opts.EnableIPv6:
		return fail(engine.ErrUnsupported, "IPv6 is not supported")
	case opts.EnableIPv4 != nil && !*opts.EnableIPv4:
		return fail(engine.ErrUnsupported, "networks without IPv4 are not supported")
	case opts.ConfigOnly || opts.ConfigFrom != nil && opts.ConfigFrom.Network != "":
		return fail(engine.ErrUnsupported, "configuration-only networks are not supported")
	case opts.Ingress:
		return fail(engine.ErrUnsupported, "ingress networks are not supported")
	case opts.Scope != "" && opts.Scope != "local":
		return fail(engine.ErrUnsupported, "scope %q is not supported", opts.Scope)
	}
	addresses, err := readIPAM(opts.IPAM)
	if err != nil {
		return fail(kindOf(err), "%w", err)
	}
	n := &segment{
		networkRecord: networkRecord{ID: newID(), Name: name, Created: time.Now().UTC(), Options: opts, addressing: addresses},
	}
	if err := n.complete(); err != nil {
		return fail(kindOf(err), "%w", err)
	}
	return n, nil
}

func kindOf(err error) error {
	for _, kind := range []error{engine.ErrUnsupported, engine.ErrInvalid, engine.ErrConflict, engine.ErrForbidden, engine.ErrNotFound} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return engine.ErrInternal
}

// complete derives what follows from the record.
func (n *segment) complete() (err error) {
	n.driver = n.Options.Driver
	n.endpoints = map[string]*endpoint{}
	if n.driver != driverBridge {
		return nil
	}
	if n.config, err = readOptions(n.Options.Options); err != nil {
		return err
	}
	if n.Subnet.IsValid() {
		return n.address()
	}
	return nil
}

// address makes the space of the network's subnet and picks the gateway if the user did not.
func (n *segment) address() error {
	if !n.Range.IsValid() {
		n.Range = n.Subnet
	}
	space, err := ipam.NewSpace(n.Subnet, n.Range)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "%w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(n.Aux)) {
		if err := space.Take(n.Aux[name]); err != nil {
			return engine.Errorf(engine.ErrInvalid, "auxiliary address %s: %w", name, err)
		}
	}
	if n.Gateway.IsValid() {
		err = space.Take(n.Gateway)
	} else {
		n.Gateway, err = space.Next()
	}
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "gateway: %w", err)
	}
	n.space = space
	return nil
}

// enter adds the network to the others, with a subnet that is free.
func (m *Manager) enter(n *segment, routes []ownedPrefix) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.networks {
		if other.Name == n.Name {
			return engine.Errorf(engine.ErrConflict, "network with name %s already exists", n.Name)
		}
		if n.bridge != "" && other.driver == driverBridge && other.link() == n.bridge {
			return engine.Errorf(engine.ErrConflict, "cannot create network %s: network %s has the bridge %s", n.Name, other.Name, n.bridge)
		}
	}
	if n.Auto {
		if err := m.pickSubnet(n, routes); err != nil {
			return err
		}
	} else if err := m.checkSubnet(n, routes); err != nil {
		return err
	}
	m.networks[n.ID] = n
	return nil
}

// pickSubnet gives the network a free pool. The caller holds the lock.
func (m *Manager) pickSubnet(n *segment, routes []ownedPrefix) (err error) {
	inUse := func(yield func(netip.Prefix) bool) {
		for _, other := range m.networks {
			if other != n && other.Subnet.IsValid() && !yield(other.Subnet) {
				return
			}
		}
		for _, r := range routes {
			if !yield(r.prefix) {
				return
			}
		}
	}
	if n.Subnet, err = ipam.Pick(m.pools, inUse); err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot create network %s: %w", n.Name, err)
	}
	n.Range, n.Gateway = netip.Prefix{}, netip.Addr{}
	return n.address()
}

// checkSubnet refuses a subnet of the user's that another network has, or that would hide one that the host is on.
// That a wider route of the host covers it is fine: the narrower one counts. The caller holds the lock.
func (m *Manager) checkSubnet(n *segment, routes []ownedPrefix) error {
	for _, other := range m.networks {
		if other != n && other.Subnet.IsValid() && other.Subnet.Overlaps(n.Subnet) {
			return engine.Errorf(engine.ErrInvalid, "cannot create network %s: its subnet %s overlaps %s of network %s",
				n.Name, n.Subnet, other.Subnet, other.Name)
		}
	}
	for _, r := range routes {
		if r.prefix.Bits() >= n.Subnet.Bits() && n.Subnet.Overlaps(r.prefix) {
			return engine.Errorf(engine.ErrInvalid, "cannot use network %s: its subnet %s overlaps %s, which the host has on %s",
				n.Name, n.Subnet, r.prefix, r.owner)
		}
	}
	return nil
}

// List returns all networks, the predefined bridge, host and none included, sorted by name.
func (m *Manager) List() []network.Inspect {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]network.Inspect, 0, len(m.networks))
	for _, n := range m.networks {
		list = append(list, m.inspect(n))
	}
	slices.SortFunc(list, func(a, b network.Inspect) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Inspect describes the network with its connected containers. ref is a name, an ID or the beginning of one.
func (m *Manager) Inspect(ref string) (network.Inspect, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	return m.inspect(n), nil
}

func (m *Manager) inspect(n *segment) network.Inspect {
	out := network.Inspect{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: n.driver, EnableIPv4: true,
		Internal: n.Options.Internal, Attachable: n.Options.Attachable,
		IPAM:       network.IPAM{Driver: "default", Config: []network.IPAMConfig{}},
		Containers: map[string]network.EndpointResource{},
		Options:    maps.Clone(n.Options.Options), Labels: maps.Clone(n.Options.Labels),
	}
	if n.Options.IPAM != nil {
		out.IPAM.Options = maps.Clone(n.Options.IPAM.Options)
	}
	if n.Subnet.IsValid() {
		c := network.IPAMConfig{Subnet: n.Subnet.String(), Gateway: n.Gateway.String()}
		if n.Range != n.Subnet {
			c.IPRange = n.Range.String()
		}
		for name, addr := range n.Aux {
			if c.AuxAddress == nil {
				c.AuxAddress = map[string]string{}
			}
			c.AuxAddress[name] = addr.String()
		}
		out.IPAM.Config = append(out.IPAM.Config, c)
	}
	for id, e := range n.endpoints {
		out.Containers[id] = network.EndpointResource{Name: e.container.Name, EndpointID: e.ID, MacAddress: e.MAC,
			IPv4Address: e.Address.String()}
	}
	return out
}

// Resolve finds a network by its ID, its name or an unambiguous beginning of its ID.
func (m *Manager) Resolve(ref string) (id, name string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(ref)
	if err != nil {
		return "", "", err
	}
	return n.ID, n.Name, nil
}

// find is Resolve for a caller that holds the lock.
func (m *Manager) find(ref string) (*segment, error) {
	if n, ok := m.networks[ref]; ok {
		return n, nil
	}
	var begin []*segment // those whose IDs begin so: a name counts before them
	for _, n := range m.networks {
		if n.Name == ref || ref == network.NetworkDefault && n.Name == nameBridge {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(n.ID, ref) {
			begin = append(begin, n)
		}
	}
	switch len(begin) {
	case 0:
		return nil, engine.Errorf(engine.ErrNotFound, "network %s not found", ref)
	case 1:
		return begin[0], nil
	}
	return nil, engine.Errorf(engine.ErrInvalid, "network %s is ambiguous: several IDs begin so", ref)
}

// Remove removes the network. ErrNotFound: there is none. ErrConflict: containers are connected, which the message
// names. ErrForbidden: it is predefined.
func (m *Manager) Remove(ref string) error {
	m.mu.Lock()
	n, err := m.find(ref)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if n.predefined {
		return engine.Errorf(engine.ErrForbidden, "network %s is predefined and cannot be removed", n.Name)
	}
	n.activation.Lock()
	defer n.activation.Unlock()
	if err := m.leave(n); err != nil {
		return err
	}
	if err := m.store.Delete(networkKey + n.ID); err != nil {
		m.mu.Lock()
		n.removed = false
		m.networks[n.ID] = n
		m.mu.Unlock()
		return engine.Errorf(engine.ErrInternal, "cannot remove network %s: %w", n.Name, err)
	}
	return m.deactivate(n)
}

// leave takes an unused network away from the others.
func (m *Manager) leave(n *segment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n.removed {
		return engine.Errorf(engine.ErrNotFound, "network %s not found", n.Name)
	}
	if len(n.endpoints) > 0 {
		var names []string
		for _, e := range n.endpoints {
			names = append(names, e.container.Name)
		}
		slices.Sort(names)
		return engine.Errorf(engine.ErrConflict, "network %s is in use by %s", n.Name, strings.Join(names, ", "))
	}
	n.removed = true
	delete(m.networks, n.ID)
	return nil
}
