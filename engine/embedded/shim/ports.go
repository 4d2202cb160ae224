package shim

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// reservePorts binds the ports, so that no other program gets them. Packets never arrive here: the network's rules
// take them before.
func reservePorts(ports []protocol.PortReservation) (held []*os.File, err error) {
	for _, p := range ports {
		f, err := reservePort(p)
		if err != nil {
			protocol.CloseAll(held)
			return nil, err
		}
		held = append(held, f)
	}
	return held, nil
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
