package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the switch of a network, with the host's own place on it.
type Bridge struct {
	Name    string
	MAC     net.HardwareAddr
	Address netip.Prefix // the host's address and the size of the network; the zero value for none
	MTU     int          // bytes; 0 for the kernel's default
}

// AddBridge makes the bridge, or makes the existing one of that name so. A link of that name that is not of the group
// is an error. Connections from 127.0.0.1 may be routed through it, so the firewall must be in place before.
func (l *Linux) AddBridge(b Bridge) error {
	s, err := openRtnetlink()
	if err != nil {
		return err
	}
	defer s.close()
	err = s.do(newBridge(b, l.group))
	made := err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	index, err := l.bridgeIndex(b.Name)
	if err != nil {
		return err
	}
	if err := l.configureBridge(s, b, index); err != nil {
		if made {
			err = errors.Join(err, l.DeleteLinks(b.Name))
		}
		return err
	}
	return nil
}

func (l *Linux) bridgeIndex(name string) (int, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find bridge %s: %w", name, err)
	}
	if link.Type() != "bridge" || link.Attrs().Group != l.group {
		return 0, fmt.Errorf("create bridge %s: a link of this name is not ours", name)
	}
	return link.Attrs().Index, nil
}

func (l *Linux) configureBridge(s *rtnetlink, b Bridge, index int) error {
	// Advertised IPv6 routers must not reach the host from a container.
	err := setSysctl("net/ipv6/conf/"+b.Name+"/disable_ipv6", "1")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	requests := []request{setIPv4(b.Name, confRouteLocalnet, 1)}
	if b.Address.IsValid() {
		requests = append(requests, newAddress(index, b.Address))
	}
	if err := s.do(requests...); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return s.do(setUp(b.Name))
}

// Silence takes the address off a link, so that its range can be
// used by another before the kernel has taken its time to delete it.
func (l *Linux) Silence(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil || link.Attrs().Group != l.group {
		return err
	}
	addrs, err := netlink.AddrList(link, unix.AF_INET)
	for _, a := range addrs {
		err = errors.Join(err, netlink.AddrDel(link, &a))
	}
	return err
}

// EnableForwarding lets the host pass packets on between its links, and tells whether it had not done so before.
func (l *Linux) EnableForwarding() (changed bool, err error) {
	const path = "/proc/sys/net/ipv4/ip_forward"
	now, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if len(now) > 0 && now[0] == '1' {
		return false, nil
	}
	return true, setSysctl("net.ipv4.ip_forward", "1")
}
