package kernel

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// link starts a message about the link of this name. It changes an existing link unless flags say otherwise.
func link(what, name string, flags int) (request, *nl.IfInfomsg) {
	r := newRequest(what+" "+name, unix.RTM_NEWLINK, flags)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	r.AddData(info)
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return r, info
}

func up(info *nl.IfInfomsg) {
	info.Flags |= unix.IFF_UP
	info.Change |= unix.IFF_UP
}

func (r request) add(attr int, value []byte) { r.AddData(nl.NewRtAttr(attr, value)) }

func newBridge(b Bridge, group uint32) request {
	r, _ := link("create bridge", b.Name, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.add(unix.IFLA_GROUP, nl.Uint32Attr(group))
	// A bridge that was given its address keeps it, whatever ports come and go.
	r.add(unix.IFLA_ADDRESS, b.MAC)
	if b.MTU > 0 {
		r.add(unix.IFLA_MTU, nl.Uint32Attr(uint32(b.MTU)))
	}
	kind := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	kind.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	r.AddData(kind)
	return r
}

// newPort makes a pair of virtual links: one that is a port of the bridge, and its peer in the namespace netns.
func newPort(i Interface, bridge int, group uint32, netns int) request {
	r, info := link("create link", i.Host, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	up(info)
	r.add(unix.IFLA_GROUP, nl.Uint32Attr(group))
	r.add(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge)))
	kind := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	kind.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := kind.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(i.Name))
	peer.AddRtAttr(unix.IFLA_ADDRESS, i.MAC)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(netns)))
	if i.MTU > 0 {
		r.add(unix.IFLA_MTU, nl.Uint32Attr(uint32(i.MTU)))
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(i.MTU)))
	}
	// One queue each: the kernel would make one per processor, which costs time and memory and brings nothing here.
	for _, attr := range []int{unix.IFLA_NUM_TX_QUEUES, unix.IFLA_NUM_RX_QUEUES} {
		r.add(attr, nl.Uint32Attr(1))
		peer.AddRtAttr(attr, nl.Uint32Attr(1))
	}
	r.AddData(kind)
	return r
}

// tunePort makes a port a mere wire: it needs no IPv6 address of its own. An isolated port reaches the bridge's own
// address and no other isolated port.
func tunePort(i Interface) request {
	r, _ := link("set up link", i.Host, 0)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{nl.IN6_ADDR_GEN_MODE_NONE})
	r.AddData(spec)
	if i.Isolated || i.Hairpin {
		kind := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		kind.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
		port := kind.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
		port.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, flag(i.Isolated))
		port.AddRtAttr(nl.IFLA_BRPORT_MODE, flag(i.Hairpin))
		r.AddData(kind)
	}
	return r
}

// Numbers of the settings, from the kernel's linux/ip.h.
const (
	confARPNotify     = 22
	confRouteLocalnet = 26
)

func flag(on bool) []byte {
	if on {
		return []byte{1}
	}
	return []byte{0}
}

// setIPv4 changes one of the settings that /proc/sys/net/ipv4/conf has for each link.
func setIPv4(name string, setting int, value uint32) request {
	r, _ := link("set up link", name, 0)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	conf.AddRtAttr(setting, nl.Uint32Attr(value))
	r.AddData(spec)
	return r
}

func setUp(name string) request {
	r, info := link("bring up link", name, 0)
	up(info)
	return r
}

func newAddress(index int, addr netip.Prefix) request {
	r := newRequest("add address "+addr.String(), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfAddrmsg(unix.AF_INET)
	msg.Prefixlen = uint8(addr.Bits())
	msg.Index = uint32(index)
	r.AddData(msg)
	r.add(unix.IFA_LOCAL, addr.Addr().AsSlice())
	r.add(unix.IFA_ADDRESS, addr.Addr().AsSlice())
	r.add(unix.IFA_BROADCAST, broadcast(addr))
	return r
}

func broadcast(p netip.Prefix) net.IP {
	ip := p.Addr().AsSlice()
	mask := net.CIDRMask(p.Bits(), len(ip)*8)
	for i := range ip {
		ip[i] |= ^mask[i]
	}
	return ip
}

// setGateway makes gateway the way to everywhere, whatever was before.
func setGateway(gateway netip.Addr) request {
	r := newRequest("set gateway "+gateway.String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg()
	msg.Family = unix.AF_INET
	r.AddData(msg)
	r.add(unix.RTA_GATEWAY, gateway.AsSlice())
	return r
}

func deleteGateway() request {
	r := newRequest("remove gateway", unix.RTM_DELROUTE, 0)
	msg := nl.NewRtDelMsg()
	msg.Family = unix.AF_INET
	msg.Table = unix.RT_TABLE_MAIN
	r.AddData(msg)
	return r
}
