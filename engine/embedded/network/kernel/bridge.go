package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
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
	addrs, err := list(func() ([]netlink.Addr, error) { return netlink.AddrList(link, unix.AF_INET) })
	for _, a := range addrs {
		err = errors.Join(err, netlink.AddrDel(link, &a))
	}
	return err
}

// Enslave makes an existing link a port of the bridge.
func (l *Linux) Enslave(port, bridge string) error {
	s, err := openRtnetlink()
	if err != nil {
		return err
	}
	defer s.close()
	index, err := s.index(bridge)
	if err != nil {
		return err
	}
	r, _ := link("connect link", port, 0)
	r.add(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index)))
	return s.do(r)
}

// ForgetDatagrams makes the kernel forget where it led the UDP packets that came for these ports: with datagrams there
// is no end of a connection that would make it forget, and a sender that goes on would never meet a new receiver.
func (l *Linux) ForgetDatagrams(ports []uint16) error {
	for _, port := range ports {
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, datagrams(port))
		// A listing that was disturbed has left out nothing that was there all the time.
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("forget datagrams to port %d: %w", port, err)
		}
	}
	return nil
}

// datagrams matches UDP packets that came for a port.
type datagrams uint16

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (d datagrams) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return flow.Forward.Protocol == unix.IPPROTO_UDP && flow.Forward.DstPort == uint16(d)
}

// FiltersBridged tells whether the firewall sees packets that stay within a bridge (the kernel's br_netfilter).
func (l *Linux) FiltersBridged() bool {
	value, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil && len(value) > 0 && value[0] == '1'
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
