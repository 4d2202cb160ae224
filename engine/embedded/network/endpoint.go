package network

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

// Options of Docker that endpoints are created with.
const (
	optionInterface = "com.docker.network.endpoint.ifname"
	optionSysctls   = "com.docker.network.endpoint.sysctls"
)

// container is what the Store keeps of a container that has a sandbox.
type container struct {
	ID        string
	Name      string
	Aliases   []string
	Endpoints []*endpoint // in the order of the interfaces
	Ports     []*published
	Private   bool // on the network none
	Made      time.Time

	TakesOver string `json:",omitempty"` // ID of the container whose place it takes
	Unready   bool   `json:",omitempty"` // it takes another one's place and has not been healthy yet
	Leaving   bool   `json:",omitempty"` // it is about to end

	waits   []string   // whose ports were promised to it when its sandbox was made; not changed afterwards
	saving  sync.Mutex // held while its record is written, so that the latest is the one that stays
	unsaved bool       // its record is not up to date
	astray  string     // the namespace's name while its default route may be wrong
}

// endpoint is a container's place on a network.
type endpoint struct {
	Network   string // its ID
	ID        string
	Interface string // inside
	Host      string // the other end
	Address   netip.Prefix
	MAC       string
	Settings  *network.EndpointSettings // as asked for

	container *container
	network   *segment
}

// shortID is what containers are also found by.
func shortID(id string) string { return id[:min(12, len(id))] }

// gateway returns the endpoint through which the container reaches the world: the one with the highest priority, and
// of equals the one whose network's name sorts first; nil if all networks are internal.
func (c *container) gateway() *endpoint {
	var best *endpoint
	for _, e := range c.Endpoints {
		if e.network.Options.Internal {
			continue
		}
		if best == nil || e.Settings.GwPriority > best.Settings.GwPriority ||
			e.Settings.GwPriority == best.Settings.GwPriority && e.network.Name < best.network.Name {
			best = e
		}
	}
	return best
}

// elements are the container's published ports in the firewall. They lead to the endpoint that the answers leave by.
func (c *container) elements() nft.Elements {
	gateway := c.gateway()
	if gateway == nil {
		return nft.Elements{}
	}
	var e nft.Elements
	for _, p := range c.Ports {
		if p.Waits != "" {
			continue
		}
		e.Ports = append(e.Ports, nft.Port{
			HostIP: p.Reservation.HostIP, Host: p.Reservation.Port, Proto: protocols[p.Proto],
			To: netip.AddrPortFrom(gateway.Address.Addr(), p.Container),
		})
	}
	return e
}

// elements are everything that ought to be in the firewall.
func (m *Manager) elements() nft.Elements {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all nft.Elements
	for _, n := range m.networks {
		if n.wanted {
			all.Networks = append(all.Networks, n.rules().Networks...)
		}
	}
	for _, c := range m.containers {
		all.Ports = append(all.Ports, c.elements().Ports...)
	}
	return all
}

// swap changes the firewall from one container's ports to others, leaving alone what is in both.
func (m *Manager) swap(before, after nft.Elements) error {
	change := nft.Change{Remove: without(before, after), Add: without(after, before)}
	if err := m.firewall.change(change); err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot publish ports: %w", err)
	}
	return nil
}

func without(all, except nft.Elements) nft.Elements {
	return nft.Elements{Ports: slices.DeleteFunc(slices.Clone(all.Ports), func(p nft.Port) bool {
		return slices.Contains(except.Ports, p)
	})}
}

// join puts the container on the network, with an address. The caller holds the lock and takes the endpoint back with
// part if what follows fails.
func (m *Manager) join(c *container, n *segment, settings *network.EndpointSettings) (*endpoint, error) {
	if settings == nil {
		settings = &network.EndpointSettings{}
	}
	fail := func(kind error, format string, args ...any) (*endpoint, error) {
		return nil, engine.Errorf(kind, "cannot connect container "+c.Name+" to network "+n.Name+": "+format, args...)
	}
	if m.networks[n.ID] != n {
		return fail(engine.ErrNotFound, "the network has been removed")
	}
	if n.endpoints[c.ID] != nil {
		return fail(engine.ErrConflict, "it is connected already")
	}
	if len(settings.Links) > 0 && n.driver != driverBridge {
		return fail(engine.ErrInvalid, "the network has no links")
	}
	e := &endpoint{Network: n.ID, ID: newID(), Settings: settings.Copy(), container: c, network: n}
	e.Host = "st" + e.ID[:10]
	var err error
	if e.Interface, err = c.interfaceName(n, settings.DriverOpts); err != nil {
		return fail(kindOf(err), "%w", err)
	}
	address, err := n.allocate(settings.IPAMConfig)
	if err != nil {
		return fail(kindOf(err), "%w", err)
	}
	e.Address = netip.PrefixFrom(address, n.Subnet.Bits())
	if e.MAC, err = macAddress(settings.MacAddress, address); err != nil {
		n.space.Free(address)
		return fail(engine.ErrInvalid, "%w", err)
	}
	n.endpoints[c.ID] = e
	c.Endpoints = append(c.Endpoints, e)
	return e, nil
}

// part is the reverse of join. The caller holds the lock.
func (m *Manager) part(e *endpoint) {
	delete(e.network.endpoints, e.container.ID)
	e.network.space.Free(e.Address.Addr())
	e.container.Endpoints = slices.DeleteFunc(slices.Clone(e.container.Endpoints), func(o *endpoint) bool { return o == e })
}

// allocate takes the address that was asked for, or the next.
func (n *segment) allocate(c *network.EndpointIPAMConfig) (netip.Addr, error) {
	if c != nil && (c.IPv6Address != "" || len(c.LinkLocalIPs) > 0) {
		return netip.Addr{}, engine.Errorf(engine.ErrUnsupported, "IPv6 and link-local addresses are not supported")
	}
	if c == nil || c.IPv4Address == "" {
		address, err := n.space.Next()
		if err != nil {
			return address, engine.Errorf(engine.ErrConflict, "%w", err)
		}
		return address, nil
	}
	if n.Auto {
		return netip.Addr{}, engine.Errorf(engine.ErrInvalid, "an address can be chosen only on a network with a subnet of the user's")
	}
	address, err := netip.ParseAddr(c.IPv4Address)
	if err != nil || !n.Subnet.Contains(address) {
		return address, engine.Errorf(engine.ErrInvalid, "%q is not an address of %s", c.IPv4Address, n.Subnet)
	}
	if err := n.space.Take(address); err != nil {
		return address, engine.Errorf(engine.ErrConflict, "%w%s", err, n.holderOf(address))
	}
	return address, nil
}

func (n *segment) holderOf(a netip.Addr) string {
	for _, e := range n.endpoints {
		if e.Address.Addr() == a {
			return " by container " + e.container.Name
		}
	}
	if a == n.Gateway {
		return " by the gateway"
	}
	return ""
}

// macAddress checks the address that was asked for, or derives one.
func macAddress(asked string, a netip.Addr) (string, error) {
	if asked == "" {
		return hardwareAddress(a).String(), nil
	}
	mac, err := net.ParseMAC(asked)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return "", engine.Errorf(engine.ErrInvalid, "%q is not the hardware address of one interface", asked)
	}
	return mac.String(), nil
}

// interfaceName returns the name that was asked for, or the first free one.
func (c *container) interfaceName(n *segment, options map[string]string) (string, error) {
	for key := range options {
		if key != optionInterface && key != optionSysctls {
			return "", engine.Errorf(engine.ErrUnsupported, "endpoint option %s is not supported", key)
		}
	}
	used := func(name string) bool {
		return slices.ContainsFunc(c.Endpoints, func(e *endpoint) bool { return e.Interface == name })
	}
	if name := options[optionInterface]; name != "" {
		if err := checkLinkName(name); err != nil {
			return "", engine.Errorf(engine.ErrInvalid, "invalid interface name %q: %w", name, err)
		}
		if name == "lo" || used(name) {
			return "", engine.Errorf(engine.ErrInvalid, "interface name %q is used already", name)
		}
		return name, nil
	}
	for i := 0; ; i++ {
		if name := n.prefix + strconv.Itoa(i); !used(name) {
			return name, nil
		}
	}
}

// device is the endpoint's interface.
func (e *endpoint) device() (kernel.Interface, error) {
	mac, err := net.ParseMAC(e.MAC)
	if err != nil {
		return kernel.Interface{}, err
	}
	sysctls, err := interfaceSysctls(e.Settings.DriverOpts[optionSysctls])
	if err != nil {
		return kernel.Interface{}, err
	}
	return kernel.Interface{
		Name: e.Interface, Host: e.Host, Bridge: e.network.link(), MAC: mac, Address: e.Address,
		MTU: e.network.mtu, Isolated: !e.network.icc, Sysctls: sysctls,
	}, nil
}

// interfaceSysctls reads "net.ipv4.conf.IFNAME.log_martians=1,...". Only settings of the interface itself are allowed.
func interfaceSysctls(list string) (map[string]string, error) {
	if list == "" {
		return nil, nil
	}
	settings := map[string]string{}
	for item := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		path := strings.ReplaceAll(key, ".", "/")
		parts := strings.Split(path, "/")
		if !ok || len(parts) != 5 || parts[0] != "net" || parts[1] != "ipv4" || parts[3] != "IFNAME" ||
			parts[2] != "conf" && parts[2] != "neigh" {
			return nil, engine.Errorf(engine.ErrInvalid, "invalid sysctl %q of an endpoint: write it like net.ipv4.conf.IFNAME.log_martians=1", item)
		}
		settings[path] = value
	}
	return settings, nil
}

// settings returns what was asked for with what came of it.
func (e *endpoint) settings() *network.EndpointSettings {
	s := e.Settings.Copy()
	s.DriverOpts = maps.Clone(s.DriverOpts)
	s.NetworkID = e.Network
	s.EndpointID = e.ID
	s.IPAddress = e.Address.Addr().String()
	s.IPPrefixLen = e.Address.Bits()
	s.MacAddress = e.MAC
	if !e.network.Options.Internal {
		s.Gateway = e.network.Gateway.String()
	}
	if e.network.resolves() {
		s.DNSNames = e.names()
	}
	return s
}

// names are what the container is found by on the network, its name first.
func (e *endpoint) names() []string {
	var names []string
	for _, name := range slices.Concat([]string{e.container.Name}, e.Settings.Aliases, e.container.Aliases, []string{shortID(e.container.ID)}) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
