package memory

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

// nw is a network.
type nw struct {
	id, name string
	created  time.Time
	driver   string
	opts     network.CreateOptions
	subnet   netip.Prefix // zero for "host" and "none"
	gateway  netip.Addr
	standard bool
	used     map[netip.Addr]*ctr
}

// endpoint is a container on a network. Its address is there while the container runs.
type endpoint struct {
	id       string
	network  *nw
	settings *network.EndpointSettings // what was asked for
	address  netip.Addr
}

func (e *Engine) addStandardNetworks() {
	for _, standard := range [][2]string{{"bridge", "bridge"}, {"host", "host"}, {"none", "null"}} {
		name, driver := standard[0], standard[1]
		n := &nw{id: e.newID("network"), name: name, driver: driver, created: now(), standard: true, used: map[netip.Addr]*ctr{}}
		if driver == "bridge" {
			n.subnet = netip.MustParsePrefix("172.17.0.0/16")
			n.gateway = n.subnet.Addr().Next()
		}
		e.networks[n.id] = n
	}
}

func (e *Engine) network(ref string) (*nw, error) {
	if ref == "default" {
		ref = "bridge"
	}
	var found []*nw
	for _, n := range e.networks {
		if n.name == ref || n.id == ref {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(n.id, ref) {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return nil, engine.Errorf(engine.ErrNotFound, "cannot find network %s: no such network", ref)
	}
	return found[0], nil
}

// NetworkCreate implements engine.Networks.
func (e *Engine) NetworkCreate(ctx context.Context, name string, opts network.CreateOptions) (string, error) {
	if err := e.enter(ctx, "NetworkCreate", name); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.TrimSpace(name) == "" {
		return "", engine.Errorf(engine.ErrInvalid, "cannot create a network without a name")
	}
	for _, n := range e.networks {
		if n.name == name {
			return "", engine.Errorf(engine.ErrConflict, "cannot create network %s: it exists", name)
		}
	}
	n := &nw{name: name, created: now(), driver: first(opts.Driver, "bridge"), opts: *copied(&opts), used: map[netip.Addr]*ctr{}}
	if n.driver != "bridge" {
		return "", engine.Errorf(engine.ErrInvalid, "cannot create network %s: there is no driver %q", name, n.driver)
	}
	if err := e.chooseSubnet(n); err != nil {
		return "", err
	}
	n.id = e.newID("network")
	e.networks[n.id] = n
	e.networkEvent(n, events.ActionCreate, nil)
	return n.id, nil
}

func (e *Engine) chooseSubnet(n *nw) error {
	fail := func(format string, args ...any) error {
		return engine.Errorf(engine.ErrInvalid, "cannot create network "+n.name+": "+format, args...)
	}
	if n.opts.IPAM != nil && len(n.opts.IPAM.Config) > 0 && n.opts.IPAM.Config[0].Subnet != "" {
		cfg := n.opts.IPAM.Config[0]
		subnet, err := netip.ParsePrefix(cfg.Subnet)
		if err != nil {
			return fail("invalid subnet %q: %w", cfg.Subnet, err)
		}
		if n.subnet = subnet.Masked(); e.overlaps(n.subnet) {
			return fail("subnet %s overlaps one in use", cfg.Subnet)
		}
		n.gateway = n.subnet.Addr().Next()
		if cfg.Gateway != "" {
			if n.gateway, err = netip.ParseAddr(cfg.Gateway); err != nil || !n.subnet.Contains(n.gateway) {
				return fail("the gateway %q is not in the subnet %s", cfg.Gateway, cfg.Subnet)
			}
		}
		return nil
	}
	for i := range 256 { // 172.18.0.0/16 to 172.31.0.0/16, then the /20s of 192.168.0.0/16
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(18 + i), 0, 0}), 16)
		if i >= 14 {
			subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte((i - 14) * 16), 0}), 20)
		}
		if i >= 30 {
			break
		}
		if !e.overlaps(subnet) {
			n.subnet, n.gateway = subnet, subnet.Addr().Next()
			return nil
		}
	}
	return fail("no subnet is left")
}

func (e *Engine) overlaps(subnet netip.Prefix) bool {
	for _, n := range e.networks {
		if n.subnet.IsValid() && n.subnet.Overlaps(subnet) {
			return true
		}
	}
	return false
}

func (n *nw) summary() network.Summary {
	s := network.Summary{
		Name: n.name, ID: n.id, Created: n.created, Scope: "local", Driver: n.driver, EnableIPv4: true,
		Internal: n.opts.Internal, Attachable: n.opts.Attachable, Labels: maps.Clone(n.opts.Labels), Options: maps.Clone(n.opts.Options),
		IPAM:       network.IPAM{Driver: "default", Config: []network.IPAMConfig{}},
		Containers: map[string]network.EndpointResource{},
	}
	if n.subnet.IsValid() {
		s.IPAM.Config = []network.IPAMConfig{{Subnet: n.subnet.String(), Gateway: n.gateway.String()}}
	}
	return s
}

// NetworkList implements engine.Networks.
func (e *Engine) NetworkList(ctx context.Context, opts network.ListOptions) ([]network.Summary, error) {
	if err := e.enter(ctx, "NetworkList", ""); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []network.Summary
	for _, n := range e.networks {
		if n.matches(opts.Filters) {
			list = append(list, n.summary())
		}
	}
	slices.SortFunc(list, func(a, b network.Summary) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (n *nw) matches(args filters.Args) bool {
	kind := "custom"
	if n.standard {
		kind = "builtin"
	}
	return args.Match("name", n.name) && args.Match("id", n.id) && args.ExactMatch("driver", n.driver) &&
		args.ExactMatch("scope", "local") && args.ExactMatch("type", kind) && args.MatchKVList("label", n.opts.Labels) &&
		(!args.Contains("dangling") || args.ExactMatch("dangling", fmt.Sprint(!n.standard && len(n.used) == 0)))
}

// NetworkInspect implements engine.Networks.
func (e *Engine) NetworkInspect(ctx context.Context, ref string, _ network.InspectOptions) (network.Inspect, error) {
	if err := e.enter(ctx, "NetworkInspect", ref); err != nil {
		return network.Inspect{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.network(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	s := n.summary()
	for _, c := range e.containers {
		for _, ep := range c.endpoints {
			if ep.network == n && c.run != nil {
				s.Containers[c.id] = network.EndpointResource{Name: c.name, EndpointID: ep.id, MacAddress: mac(ep.address), IPv4Address: n.withBits(ep.address)}
			}
		}
	}
	return s, nil
}

func (n *nw) withBits(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return netip.PrefixFrom(a, n.subnet.Bits()).String()
}

// mac is made of the address, as Docker's was.
func mac(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return net.HardwareAddr(append([]byte{2, 0x42}, a.AsSlice()...)).String()
}

// NetworkRemove implements engine.Networks.
func (e *Engine) NetworkRemove(ctx context.Context, ref string) error {
	if err := e.enter(ctx, "NetworkRemove", ref); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.network(ref)
	if err != nil {
		return err
	}
	if n.standard {
		return engine.Errorf(engine.ErrForbidden, "cannot remove network %s: it is always there", ref)
	}
	for _, c := range e.containers {
		if c.run != nil && c.endpointOn(n) != nil {
			return engine.Errorf(engine.ErrConflict, "cannot remove network %s: container %s is connected", ref, c.name)
		}
	}
	delete(e.networks, n.id)
	e.networkEvent(n, events.ActionDestroy, nil)
	return nil
}

func (e *Engine) networkEvent(n *nw, action events.Action, c *ctr) {
	attributes := map[string]string{"name": n.name, "type": n.driver}
	if c != nil {
		attributes["container"] = c.id
	}
	e.events.publish(events.NetworkEventType, action, n.id, attributes)
}

func (c *ctr) endpointOn(n *nw) *endpoint {
	for _, ep := range c.endpoints {
		if ep.network == n {
			return ep
		}
	}
	return nil
}

// plugNetworks puts a new container on the networks it asks for.
func (e *Engine) plugNetworks(c *ctr, cfg *network.NetworkingConfig) error {
	mode := c.host.NetworkMode
	if mode == "" || mode == "default" {
		mode = "bridge"
	}
	if mode.IsContainer() {
		other, err := e.container(mode.ConnectedContainer())
		if err == nil { // it stays this one, whatever is called so later
			c.host.NetworkMode = container.NetworkMode("container:" + other.id)
		}
		return err
	}
	wanted := map[string]*network.EndpointSettings{string(mode): nil}
	if cfg != nil {
		for name, settings := range cfg.EndpointsConfig {
			if name == "default" {
				name = "bridge"
			}
			wanted[name] = settings
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if err := e.plug(c, name, wanted[name]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) plug(c *ctr, ref string, settings *network.EndpointSettings) error {
	n, err := e.network(ref)
	if err != nil {
		return err
	}
	if c.endpointOn(n) != nil {
		return engine.Errorf(engine.ErrConflict, "cannot connect container %s to network %s: it is connected", c.name, n.name)
	}
	if settings == nil {
		settings = &network.EndpointSettings{}
	}
	if static := settings.IPAMConfig; static != nil && static.IPv4Address != "" {
		a, err := netip.ParseAddr(static.IPv4Address)
		if err != nil || !n.subnet.Contains(a) {
			return engine.Errorf(engine.ErrInvalid, "cannot connect container %s to network %s: the address %q is not in %s", c.name, n.name, static.IPv4Address, n.subnet)
		}
	}
	c.endpoints = append(c.endpoints, &endpoint{network: n, settings: copied(settings)})
	return nil
}

// NetworkConnect implements engine.Networks.
func (e *Engine) NetworkConnect(ctx context.Context, ref, containerRef string, settings *network.EndpointSettings) error {
	return e.locked(ctx, "NetworkConnect", containerRef, func(c *ctr) error {
		if len(c.endpoints) > 0 && c.endpoints[0].network.name == "none" {
			return engine.Errorf(engine.ErrInvalid, "cannot connect container %s to network %s: the network none goes with no other", c.name, ref)
		}
		if err := e.plug(c, ref, settings); err != nil {
			return err
		}
		ep := c.endpoints[len(c.endpoints)-1]
		if c.run == nil {
			return nil
		}
		if err := e.address(c, ep); err != nil {
			c.endpoints = c.endpoints[:len(c.endpoints)-1]
			return err
		}
		e.networkEvent(ep.network, events.ActionConnect, c)
		return nil
	})
}

// NetworkDisconnect implements engine.Networks.
func (e *Engine) NetworkDisconnect(ctx context.Context, ref, containerRef string, _ bool) error {
	return e.locked(ctx, "NetworkDisconnect", containerRef, func(c *ctr) error {
		n, err := e.network(ref)
		if err != nil {
			return err
		}
		ep := c.endpointOn(n)
		if ep == nil {
			return engine.Errorf(engine.ErrConflict, "cannot disconnect container %s from network %s: it is not connected", c.name, n.name)
		}
		c.endpoints = slices.DeleteFunc(c.endpoints, func(other *endpoint) bool { return other == ep })
		if c.run != nil {
			ep.release()
			e.networkEvent(n, events.ActionDisconnect, c)
		}
		return nil
	})
}

// connectAll gives a container that is started its addresses and its ports.
func (e *Engine) connectAll(c *ctr, r *run) error {
	r.box = &sandbox{}
	if mode := c.host.NetworkMode; mode.IsContainer() {
		other, err := e.container(mode.ConnectedContainer())
		if err != nil {
			return err
		}
		if other.run == nil {
			return engine.Errorf(engine.ErrConflict, "cannot start container %s: it uses the network of container %s, which is not running", c.name, other.name)
		}
		r.box = other.run.box.share(other)
		return nil
	}
	r.box.owner = c
	for _, ep := range c.endpoints {
		if err := e.address(c, ep); err != nil {
			return err
		}
	}
	return e.publish(c)
}

// disconnectAll gives addresses and ports back, the latter to those that they are promised to, and returns the networks that the container was on.
func (e *Engine) disconnectAll(c *ctr) []*nw {
	var all []*nw
	for _, ep := range c.endpoints {
		if ep.id != "" {
			all = append(all, ep.network)
		}
		ep.release()
	}
	e.handOver(c)
	c.handover = handover{}
	maps.DeleteFunc(e.ports, func(_ hostPort, owner *ctr) bool { return owner == c })
	return all
}

// address takes the address that was asked for, or the first free one.
func (e *Engine) address(c *ctr, ep *endpoint) error {
	n := ep.network
	if e.networks[n.id] != n {
		return engine.Errorf(engine.ErrNotFound, "cannot start container %s: network %s is gone", c.name, n.name)
	}
	ep.id = e.newID("endpoint")
	if !n.subnet.IsValid() {
		return nil
	}
	if static := ep.settings.IPAMConfig; static != nil && static.IPv4Address != "" {
		a := netip.MustParseAddr(static.IPv4Address) // plug has looked at it
		if other := n.used[a]; other != nil {
			return engine.Errorf(engine.ErrConflict, "cannot start container %s: the address %s is in use by container %s", c.name, a, other.name)
		}
		ep.take(a, c)
		return nil
	}
	size := uint32(1) << (32 - n.subnet.Bits())
	first := binary.BigEndian.Uint32(n.subnet.Addr().AsSlice())
	for i := uint32(1); i < size-1; i++ {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+i)
		if a := netip.AddrFrom4(b); a != n.gateway && n.used[a] == nil {
			ep.take(a, c)
			return nil
		}
	}
	return engine.Errorf(engine.ErrConflict, "cannot start container %s: network %s has no address left", c.name, n.name)
}

func (ep *endpoint) take(a netip.Addr, c *ctr) {
	ep.address = a
	ep.network.used[a] = c
}

func (ep *endpoint) release() {
	delete(ep.network.used, ep.address)
	ep.id, ep.address = "", netip.Addr{}
}

// describe is what inspecting the container tells about the endpoint.
func (ep *endpoint) describe(c *ctr) *network.EndpointSettings {
	s := copied(ep.settings)
	s.NetworkID, s.EndpointID = ep.network.id, ep.id
	if container.NetworkMode(ep.network.name).IsUserDefined() {
		s.DNSNames = append([]string{c.name}, s.Aliases...)
		s.DNSNames = append(s.DNSNames, c.id[:12])
	}
	if ep.address.IsValid() {
		s.IPAddress, s.IPPrefixLen, s.Gateway = ep.address.String(), ep.network.subnet.Bits(), ep.network.gateway.String()
		s.MacAddress = mac(ep.address)
	}
	return s
}
