package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

// ownedPrefix is a range of addresses with the name of the link that has it.
type ownedPrefix struct {
	prefix netip.Prefix
	owner  string
}

// foreignRoutes returns the host's routes that do not lead to our own bridges.
func (m *Manager) foreignRoutes() ([]ownedPrefix, error) {
	routes, err := m.links.Routes()
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot see which addresses are in use: %w", err)
	}
	own := m.ownedLinks()
	var foreign []ownedPrefix
	for _, r := range routes {
		if !own[r.Link] {
			foreign = append(foreign, ownedPrefix{r.Prefix, r.Link})
		}
	}
	return foreign, nil
}

// attempts is how often a network picks another subnet because another engine took the same one at the same time.
const attempts = 5

// activate makes the network's bridge and rules, unless they are there.
func (m *Manager) activate(n *segment) error {
	if n.driver != driverBridge {
		return nil
	}
	n.activation.Lock()
	defer n.activation.Unlock()
	if n.removed {
		return engine.Errorf(engine.ErrNotFound, "network %s not found", n.Name)
	}
	if n.active {
		return nil
	}
	if _, err := m.links.EnableForwarding(); err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot use network %s: %w", n.Name, err)
	}
	for range attempts {
		if err := m.settle(n); err != nil {
			return err
		}
		if err := m.raise(n); err != nil {
			return err
		}
		routes, err := m.foreignRoutes()
		if err == nil && (!n.Auto || !overlaps(n.Subnet, routes)) {
			n.active = true
			return nil
		}
		if err := errors.Join(err, m.lower(n)); err != nil {
			return err
		}
	}
	return engine.Errorf(engine.ErrConflict, "cannot use network %s: its subnet %s is taken again and again", n.Name, n.Subnet)
}

func overlaps(p netip.Prefix, routes []ownedPrefix) bool {
	return slices.ContainsFunc(routes, func(r ownedPrefix) bool { return p.Overlaps(r.prefix) })
}

// settle makes sure that the network's subnet is free on the host before it is used for the first time: other engines
// may have taken it since it was picked. The user's own choice is checked, ours is replaced.
func (m *Manager) settle(n *segment) error {
	routes, err := m.foreignRoutes()
	if err != nil {
		return err
	}
	m.mu.Lock()
	if !n.Auto {
		defer m.mu.Unlock()
		return m.checkSubnet(n, routes)
	}
	if n.Subnet.IsValid() && (len(n.endpoints) > 0 || !overlaps(n.Subnet, routes)) {
		m.mu.Unlock()
		return nil
	}
	before, space := n.addressing, n.space
	err = m.pickSubnet(n, routes)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := m.saveNetwork(n); err != nil {
		m.mu.Lock()
		n.addressing, n.space = before, space
		m.mu.Unlock()
		return err
	}
	return nil
}

// raise makes the rules and then the bridge, which is never without them.
func (m *Manager) raise(n *segment) error {
	fail := func(err error) error {
		return engine.Errorf(engine.ErrInternal, "cannot make the bridge of network %s: %w", n.Name, err)
	}
	m.want(n, true)
	if err := m.firewall.change(nft.Change{Add: n.rules()}); err != nil {
		m.want(n, false)
		return fail(err)
	}
	add := func() error { return m.links.AddBridge(n.device()) }
	if n.bridge != "" {
		// A link of this name may have been given up and not be gone yet.
		add = func() error { return m.sweeper.exclude(func() error { return m.links.AddBridge(n.device()) }) }
	}
	if err := add(); err != nil {
		m.want(n, false)
		return fail(errors.Join(err, m.firewall.change(nft.Change{Remove: n.rules()})))
	}
	if err := m.admit(n.link()); err != nil {
		return errors.Join(fail(err), m.lower(n))
	}
	return nil
}

// admit makes the host's own rules let the bridges' packets pass, and forget about those of these bridges that are not
// wanted any more.
func (m *Manager) admit(bridges ...string) error {
	m.admission.Lock()
	defer m.admission.Unlock()
	m.departed = append(m.departed, bridges...)
	m.mu.Lock()
	var wanted []string
	unwanted := slices.Clone(m.departed)
	for _, n := range m.networks {
		switch {
		case n.driver != driverBridge:
		case n.wanted:
			wanted = append(wanted, n.link())
		default:
			unwanted = append(unwanted, n.link())
		}
	}
	m.mu.Unlock()
	unwanted = slices.DeleteFunc(unwanted, func(b string) bool { return slices.Contains(wanted, b) })
	if err := m.firewall.table.Admit(wanted, unwanted); err != nil {
		return err
	}
	m.departed = nil
	return nil
}

// admitDeparted tries again what could not be taken out before.
func (m *Manager) admitDeparted() error {
	m.admission.Lock()
	pending := len(m.departed) > 0
	m.admission.Unlock()
	if !pending {
		return nil
	}
	return m.admit()
}

// lower takes the address off the bridge at once and leaves deleting it, for which the kernel needs its time, to the
// sweeper.
func (m *Manager) lower(n *segment) error {
	m.want(n, false)
	err := errors.Join(m.links.Silence(n.link()), m.firewall.change(nft.Change{Remove: n.rules()}), m.admit(n.link()))
	m.sweeper.later()
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot remove the bridge of network %s: %w", n.Name, err)
	}
	return nil
}

func (m *Manager) want(n *segment, wanted bool) {
	m.mu.Lock()
	n.wanted = wanted
	m.mu.Unlock()
}

// deactivate is the reverse of activate. The caller holds the activation lock.
func (m *Manager) deactivate(n *segment) error {
	if !n.active {
		return nil
	}
	n.active = false
	return m.lower(n)
}

// repair makes the bridge again as it ought to be, with its ports.
func (m *Manager) repair(n *segment) error {
	n.activation.Lock()
	defer n.activation.Unlock()
	if _, err := m.links.EnableForwarding(); err != nil {
		return err
	}
	if err := m.raise(n); err != nil {
		return err
	}
	n.active = true
	var errs []error
	for _, port := range m.hostLinks(n) {
		// A link that is not there yet is made with its bridge; one that is gone went with its namespace.
		if err := m.links.Enslave(port, n.link()); !errors.Is(err, unix.ENODEV) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) repairAll(segments []*segment) error {
	var errs []error
	for _, n := range segments {
		errs = append(errs, m.repair(n))
	}
	return errors.Join(errs...)
}

func (m *Manager) hostLinks(n *segment) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, e := range n.endpoints {
		names = append(names, e.Host)
	}
	return names
}

// rules are the network's elements in the firewall.
func (n *segment) rules() nft.Elements {
	return nft.Elements{Networks: []nft.Network{{
		Bridge: n.link(), Subnet: n.Subnet, Internal: n.Options.Internal, Masquerade: n.masquerade && !n.Options.Internal,
	}}}
}

// device is the network's bridge.
func (n *segment) device() kernel.Bridge {
	return kernel.Bridge{
		Name: n.link(), MAC: hardwareAddress(n.Gateway), MTU: n.mtu,
		Address: netip.PrefixFrom(n.Gateway, n.Subnet.Bits()),
	}
}

// hardwareAddress derives a hardware address from an address: 02 says that it is locally administered, and 42 is what
// Docker has there. Who gets an address again is not mistaken for somebody else.
func hardwareAddress(a netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x42}, a.AsSlice()...)
}

// derivedID is an ID that is always the same for this instance.
func derivedID(instance, name string) string {
	sum := sha256.Sum256([]byte("network " + instance + " " + name))
	return hex.EncodeToString(sum[:])
}

// ownedLinks are the names of the links that a record stands for.
func (m *Manager) ownedLinks() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := map[string]bool{}
	for _, n := range m.networks {
		if n.wanted || len(n.endpoints) > 0 {
			own[n.link()] = true
		}
		for _, e := range n.endpoints {
			own[e.Host] = true
		}
	}
	return own
}
