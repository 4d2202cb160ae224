package shim

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// heldPort is a port of the host with the socket that keeps other programs from it. Packets never arrive there: the
// network's rules take them before.
type heldPort struct {
	protocol.PortReservation
	socket *os.File
}

// reservePorts binds the ports, all or none.
func reservePorts(ports []protocol.PortReservation) ([]heldPort, error) {
	var held []heldPort
	for _, p := range ports {
		f, err := reservePort(p)
		if err != nil {
			closePorts(held)
			return nil, err
		}
		held = append(held, heldPort{p, f})
	}
	return held, nil
}

// reserveEach binds the ports, as many as it can.
func reserveEach(ports []protocol.PortReservation) (held []heldPort, err error) {
	for _, p := range ports {
		one, failed := reservePorts([]protocol.PortReservation{p})
		held, err = append(held, one...), errors.Join(err, failed)
	}
	return held, err
}

func closePorts(ports []heldPort) {
	for _, p := range ports {
		p.socket.Close()
	}
}

// setPorts gives the containers these ports and no others. A socket that one of them gives up and another one gets
// passes from hand to hand, so that the port is free at no time. Containers that are not there, or have stopped, get none.
func (s *Shim) setPorts(r protocol.PortsRequest) error {
	var all []*container
	for _, id := range slices.Sorted(maps.Keys(r.Ports)) {
		c, err := s.container(id)
		if err != nil {
			continue
		}
		c.op.Lock()
		defer c.op.Unlock()
		if !c.stopped() {
			all = append(all, c)
		}
	}
	var spare []heldPort
	for _, c := range all {
		spare = append(spare, c.giveUp(r.Ports[c.id])...)
	}
	for _, c := range all {
		spare = c.pickUp(r.Ports[c.id], spare)
	}
	closePorts(spare) // before others are bound: a spare one may be the same port at another address
	var errs []error
	for _, c := range all {
		wanted := r.Ports[c.id]
		errs = append(errs, c.bindMissing(wanted), c.note(step{Ports: &wanted}))
	}
	return errors.Join(errs...)
}

// giveUp takes away what the container holds beyond what it shall.
func (c *container) giveUp(wanted []protocol.PortReservation) (spare []heldPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ports = slices.DeleteFunc(c.ports, func(p heldPort) bool {
		excess := !slices.Contains(wanted, p.PortReservation)
		if excess {
			spare = append(spare, p)
		}
		return excess
	})
	return spare
}

// pickUp takes what the container shall hold out of what is spare, and returns the rest.
func (c *container) pickUp(wanted []protocol.PortReservation, spare []heldPort) (rest []heldPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range spare {
		if !c.released && slices.Contains(wanted, p.PortReservation) && !c.holds(p.PortReservation) {
			c.ports = append(c.ports, p)
		} else {
			rest = append(rest, p)
		}
	}
	return rest
}

// bindMissing binds what the container shall hold and does not.
func (c *container) bindMissing(wanted []protocol.PortReservation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return nil
	}
	held, err := reserveEach(slices.DeleteFunc(slices.Clone(wanted), c.holds))
	c.ports = append(c.ports, held...)
	return err
}

// holds tells whether the container holds the port. The caller holds c.mu.
func (c *container) holds(p protocol.PortReservation) bool {
	return slices.ContainsFunc(c.ports, func(held heldPort) bool { return held.PortReservation == p })
}

func reservePort(p protocol.PortReservation) (*os.File, error) {
	types := map[string][2]int{
		"tcp":  {unix.SOCK_STREAM, unix.IPPROTO_TCP},
		"udp":  {unix.SOCK_DGRAM, unix.IPPROTO_UDP},
		"sctp": {unix.SOCK_STREAM, unix.IPPROTO_SCTP},
	}
	typ, ok := types[p.Proto]
	if !ok {
		return nil, protocol.Errorf(protocol.Invalid, "cannot publish port %d: unknown protocol %q", p.Port, p.Proto)
	}
	family, addr := socketAddress(p)
	fd, err := unix.Socket(family, typ[0]|unix.SOCK_CLOEXEC, typ[1])
	if err != nil {
		return nil, fmt.Errorf("cannot reserve port %d/%s: %w", p.Port, p.Proto, err)
	}
	f := os.NewFile(uintptr(fd), "port")
	if err := bind(fd, typ[0], family, addr); err != nil {
		f.Close()
		return nil, portError(p, err)
	}
	return f, nil
}

func bind(fd, typ, family int, addr unix.Sockaddr) error {
	if typ == unix.SOCK_STREAM {
		// Connections of an earlier owner that linger must not keep the port; a listener still does.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, addr); err != nil {
		return err
	}
	if typ == unix.SOCK_STREAM {
		return unix.Listen(fd, 1)
	}
	return nil
}

func socketAddress(p protocol.PortReservation) (family int, addr unix.Sockaddr) {
	ip := p.HostIP
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	if ip.Unmap().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(p.Port), Addr: ip.Unmap().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.Port), Addr: ip.As16()}
}

func portError(p protocol.PortReservation, err error) error {
	where := fmt.Sprint(p.Port)
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		where = netip.AddrPortFrom(p.HostIP, p.Port).String()
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		owner := ""
		if name := portOwner(p); name != "" {
			owner = " by " + name
		}
		return protocol.Errorf(protocol.Conflict, "port %s/%s is already allocated%s", where, p.Proto, owner)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return protocol.Errorf(protocol.Invalid, "cannot publish port %s/%s: the host has no such address", where, p.Proto)
	}
	return fmt.Errorf("cannot reserve port %s/%s: %w", where, p.Proto, err)
}
