package network

import (
	"cmp"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-connections/nat"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// Port publishes a port of a container on the host.
type Port struct {
	Container uint16
	Proto     string     // "tcp", "udp" or "sctp"
	HostIP    netip.Addr // the zero value if the user did not say: all addresses, or what the network's options say

	// First and Last are the range of host ports to pick from, both 0 for any free one.
	First, Last uint16
}

// Reservation is a port of the host that a container has. An unspecified HostIP stands for all addresses.
type Reservation struct {
	HostIP netip.Addr
	Port   uint16
	Proto  string // "tcp", "udp" or "sctp"
	Chosen bool   // picked from several: Manager.Repick finds another if a foreign process has it
}

// protocols are those that have ports, with their numbers.
var protocols = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}

// ParsePorts reads the ports of a container's configuration: the bindings, and with publishAll every exposed port that
// has none. The result is sorted by protocol and port. ErrInvalid names the port that makes no sense.
func ParsePorts(exposed nat.PortSet, bindings nat.PortMap, publishAll bool) ([]Port, error) {
	all := map[nat.Port][]nat.PortBinding{}
	maps.Copy(all, bindings)
	if publishAll {
		for p := range exposed {
			if len(all[p]) == 0 {
				all[p] = []nat.PortBinding{{}}
			}
		}
	}
	var ports []Port
	for p, list := range all {
		container, proto, err := parseContainerPort(string(p))
		if err != nil {
			return nil, err
		}
		for _, b := range list {
			port := Port{Container: container, Proto: proto}
			if err := port.bind(b); err != nil {
				return nil, err
			}
			ports = append(ports, port)
		}
	}
	slices.SortStableFunc(ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Container, b.Container))
	})
	return ports, nil
}

func parseContainerPort(s string) (uint16, string, error) {
	number, proto, found := strings.Cut(s, "/")
	if !found {
		proto = "tcp"
	}
	proto = strings.ToLower(proto)
	if _, ok := protocols[proto]; !ok {
		return 0, "", engine.Errorf(engine.ErrInvalid, "invalid container port %q: the protocol is tcp, udp or sctp", s)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return 0, "", engine.Errorf(engine.ErrInvalid, "invalid container port %q: ports are 1 to 65535", s)
	}
	return uint16(port), proto, nil
}

func (p *Port) bind(b nat.PortBinding) error {
	if b.HostIP != "" {
		ip, err := netip.ParseAddr(b.HostIP)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "invalid host address %q for port %d", b.HostIP, p.Container)
		}
		if !ip.Unmap().Is4() {
			return engine.Errorf(engine.ErrUnsupported, "cannot publish port %d on %s: IPv6 is not supported", p.Container, ip)
		}
		p.HostIP = ip.Unmap()
	}
	if b.HostPort == "" {
		return nil
	}
	low, high, isRange := strings.Cut(b.HostPort, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || first > last || isRange && first == 0 {
		return engine.Errorf(engine.ErrInvalid, "invalid host port %q for port %d: ports are 1 to 65535", b.HostPort, p.Container)
	}
	p.First, p.Last = uint16(first), uint16(last)
	return nil
}

// published is a port of a container with the port of the host that it got.
type published struct {
	Port
	Reservation Reservation
	Waits       string `json:",omitempty"` // ID of the container that has the port until it begins to end; "" when it is this one's
	promised    bool   // it was waited for when the sandbox was made
}

// portTable knows which container has which ports of the host.
type portTable struct {
	held map[portNumber][]holding
	last uint16 // of the ephemeral ports given out

	ephemeral func() (first, last uint16)
}

type portNumber struct {
	proto string
	port  uint16
}

type holding struct {
	ip    netip.Addr
	owner *container
}

func newPortTable() portTable {
	return portTable{held: map[portNumber][]holding{}, ephemeral: ephemeralPorts}
}

// ephemeralPorts is the range from which the kernel, too, takes ports for those who do not ask for a certain one.
func ephemeralPorts() (first, last uint16) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	fields := strings.Fields(string(text))
	if err == nil && len(fields) == 2 {
		low, err1 := strconv.ParseUint(fields[0], 10, 16)
		high, err2 := strconv.ParseUint(fields[1], 10, 16)
		if err1 == nil && err2 == nil && 0 < low && low <= high {
			return uint16(low), uint16(high)
		}
	}
	return 32768, 60999
}

// pick finds a free port of the host for p and holds it. taken is skipped; 0 skips none.
func (t *portTable) pick(p Port, ip netip.Addr, owner *container, taken uint16) (Reservation, error) {
	r := Reservation{HostIP: ip, Proto: p.Proto, Chosen: p.First != p.Last || p.First == 0}
	first, last := p.First, p.Last
	start := first
	if p.First == 0 {
		first, last = t.ephemeral()
		start = t.last + 1
		if start < first || start > last {
			start = first
		}
	}
	var holder *container
	for i := range int(last) - int(first) + 1 {
		r.Port = first + uint16((int(start)-int(first)+i)%(int(last)-int(first)+1))
		if r.Port == taken {
			continue
		}
		if holder = t.holder(r); holder == nil {
			if p.First == 0 {
				t.last = r.Port
			}
			t.hold(r, owner)
			return r, nil
		}
	}
	return r, takenError(p, r, holder)
}

func takenError(p Port, r Reservation, holder *container) error {
	switch {
	case holder == nil:
		return engine.Errorf(engine.ErrConflict, "no other port of %d-%d is free", p.First, p.Last)
	case !r.Chosen:
		return engine.Errorf(engine.ErrConflict, "port %d is already allocated by container %s", r.Port, holder.Name)
	case p.First == 0:
		return engine.Errorf(engine.ErrConflict, "all ephemeral ports are allocated")
	default:
		return engine.Errorf(engine.ErrConflict, "all ports of %d-%d are already allocated, %d by container %s",
			p.First, p.Last, r.Port, holder.Name)
	}
}

// holder returns who has the port on one of the reservation's addresses, nil if nobody.
func (t *portTable) holder(r Reservation) *container {
	for _, h := range t.held[portNumber{r.Proto, r.Port}] {
		if h.ip == r.HostIP || h.ip.IsUnspecified() || r.HostIP.IsUnspecified() {
			return h.owner
		}
	}
	return nil
}

func (t *portTable) hold(r Reservation, owner *container) {
	key := portNumber{r.Proto, r.Port}
	t.held[key] = append(t.held[key], holding{r.HostIP, owner})
}

func (t *portTable) free(r Reservation, owner *container) {
	key := portNumber{r.Proto, r.Port}
	t.held[key] = slices.DeleteFunc(t.held[key], func(h holding) bool { return h.ip == r.HostIP && h.owner == owner })
	if len(t.held[key]) == 0 {
		delete(t.held, key)
	}
}

// portMap is the ports in Docker's form, without those that are waited for.
func portMap(ports []*published) nat.PortMap {
	out := nat.PortMap{}
	for _, p := range ports {
		if p.Waits != "" {
			continue
		}
		key := nat.Port(strconv.Itoa(int(p.Container)) + "/" + p.Proto)
		out[key] = append(out[key], nat.PortBinding{
			HostIP: p.Reservation.HostIP.String(), HostPort: strconv.Itoa(int(p.Reservation.Port)),
		})
	}
	return out
}

// Repick replaces a chosen host port of the container's sandbox that turned out to be taken by a foreign process, and
// returns the new one. ErrConflict: the port was not chosen, or its range has no other.
func (m *Manager) Repick(containerID string, taken Reservation) (Reservation, error) {
	m.mu.Lock()
	c := m.containers[containerID]
	if c == nil {
		m.mu.Unlock()
		return Reservation{}, engine.Errorf(engine.ErrNotFound, "container %s has no sandbox", containerID)
	}
	before := c.elements()
	r, err := m.repick(c, taken)
	after := c.elements()
	m.mu.Unlock()
	if err != nil {
		return Reservation{}, engine.Errorf(engine.ErrConflict, "port %d is already allocated: %w", taken.Port, err)
	}
	if err := m.swap(before, after); err != nil {
		return Reservation{}, err
	}
	return r, m.saveContainer(c)
}

func (m *Manager) repick(c *container, taken Reservation) (Reservation, error) {
	i := slices.IndexFunc(c.Ports, func(p *published) bool { return p.Waits == "" && p.Reservation == taken })
	if i < 0 || !taken.Chosen {
		return Reservation{}, engine.Errorf(engine.ErrConflict, "another one was not allowed")
	}
	p := c.Ports[i]
	r, err := m.ports.pick(p.Port, taken.HostIP, c, taken.Port)
	if err != nil {
		return Reservation{}, err
	}
	m.ports.free(taken, c)
	p.Reservation = r
	return r, nil
}
