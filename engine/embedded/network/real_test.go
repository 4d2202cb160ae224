package network_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	docker "github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"

	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/network/nettest"
)

func TestGuestsOfOneNetworkTalk(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	a, b := m.guest("a", nil, "front"), m.guest("b", nil, "front")
	m.serve(b, "80", "b")
	for _, proto := range []string{"tcp4", "udp4"} {
		m.hears(a.File(), proto, m.address(b, "front")+":80", "b for "+m.address(a, "front"))
		m.hears(nil, proto, m.address(b, "front")+":80", "b for 172.17.0.1")
	}
}

// filterBridged switches the kernel's br_netfilter for the test, if it has it.
func filterBridged(t *testing.T, on string) {
	t.Helper()
	const setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	before, err := os.ReadFile(setting)
	if errors.Is(err, os.ErrNotExist) {
		if on == "1" {
			t.Skip("needs br_netfilter")
		}
		return
	}
	if err := errors.Join(err, os.WriteFile(setting, []byte(on), 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(setting, before, 0) })
}

func TestPublishedPorts(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("br_netfilter="+filtered, func(t *testing.T) {
			m := newMachine(t)
			filterBridged(t, filtered)
			m.network("front", docker.CreateOptions{})
			m.network("back", docker.CreateOptions{})
			web := m.guest("web", tcp(80, 8080), "front")
			m.serve(web, "80", "web")
			peer, stranger := m.guest("peer", nil, "front"), m.guest("stranger", nil, "back")
			for _, proto := range []string{"tcp4", "udp4"} {
				m.hears(nil, proto, "127.0.0.1:8080", "web for 172.17.0.1")
				m.hears(nil, proto, "172.17.0.1:8080", "web for 172.17.0.1")
				m.hears(peer.File(), proto, "172.17.0.1:8080", "web for 172.17.0.1")
				m.hears(web.File(), proto, "172.17.0.1:8080", "web for 172.17.0.1")
				m.hears(stranger.File(), proto, "172.17.0.1:8080", "web for 172.17.0.1")
				m.silent(nil, proto, "127.0.0.1:8081")
			}
		})
	}
}

func TestWorld(t *testing.T) {
	m := newMachine(t)
	world := m.world()
	m.serveIn(world, ":80", "world")
	m.network("front", docker.CreateOptions{})
	m.network("bare", docker.CreateOptions{Options: map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "false"}})
	m.network("inner", docker.CreateOptions{Internal: true})
	web := m.guest("web", tcp(80, 8080), "front")
	m.serve(web, "80", "web")
	m.serve(web, "81", "secret")
	local := m.guest("local", []network.Port{{Container: 80, Proto: "tcp", First: 8081, Last: 8081, HostIP: netip.MustParseAddr("127.0.0.1")}}, "front")
	m.serve(local, "80", "local")
	bare, inner := m.guest("bare", nil, "bare"), m.guest("inner", nil, "inner")
	m.serve(inner, "80", "inner")
	m.routeWorld(world, "172.16.0.0/12")
	for _, proto := range []string{"tcp4", "udp4"} {
		m.hears(web.File(), proto, "192.0.2.1:80", "world for 192.0.2.2")
		m.hears(bare.File(), proto, "192.0.2.1:80", "world for "+m.address(bare, "bare"))
		m.silent(inner.File(), proto, "192.0.2.1:80")
		m.hears(world, proto, "192.0.2.2:8080", "web for 192.0.2.1")
		m.silent(world, proto, m.address(web, "front")+":80")
		m.silent(world, proto, m.address(web, "front")+":81")
		m.silent(world, proto, m.address(inner, "inner")+":80")
	}
	m.hears(nil, "tcp4", "127.0.0.1:8081", "local")
	m.silent(world, "tcp4", "192.0.2.2:8081")
	m.silent(web.File(), "tcp4", "172.17.0.1:8081")
}

func TestIsolation(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("br_netfilter="+filtered, func(t *testing.T) {
			m := newMachine(t)
			filterBridged(t, filtered)
			m.network("front", docker.CreateOptions{})
			m.network("inner", docker.CreateOptions{Internal: true})
			m.network("shy", docker.CreateOptions{Options: map[string]string{"com.docker.network.bridge.enable_icc": "false"}})
			front, inner, second := m.guest("front", nil, "front"), m.guest("inner", nil, "inner"), m.guest("second", nil, "inner")
			both := m.guest("both", nil, "front", "inner")
			shy, shier := m.guest("shy", tcp(80, 8080), "shy"), m.guest("shier", nil, "shy")
			for _, g := range []*guest{front, inner, second, both, shy} {
				m.serve(g, "80", "it")
			}
			for _, proto := range []string{"tcp4", "udp4"} {
				m.silent(front.File(), proto, m.address(inner, "inner")+":80")
				m.silent(inner.File(), proto, m.address(front, "front")+":80")
				m.silent(inner.File(), proto, "172.17.0.1:8080")
				m.hears(inner.File(), proto, m.address(second, "inner")+":80", "it for "+m.address(inner, "inner"))
				m.hears(nil, proto, m.address(inner, "inner")+":80", "it")
				m.hears(front.File(), proto, m.address(both, "front")+":80", "it")
				m.hears(both.File(), proto, m.address(inner, "inner")+":80", "it for "+m.address(both, "inner"))
				m.silent(shier.File(), proto, m.address(shy, "shy")+":80")
				m.hears(nil, proto, "127.0.0.1:8080", "it")
				m.hears(front.File(), proto, "172.19.0.1:8080", "it")
			}
		})
	}
}

// A container must not reach what listens on the host's 127.0.0.1, though our bridges route that address.
func TestLoopbackOfTheHostIsClosed(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	guest := m.guest("guest", nil, "front")
	m.serveIn(nettest.Here(t), ":7777", "host")
	m.hears(nil, "udp4", "127.0.0.1:7777", "host")
	nettest.In(t, guest.File(), func() error {
		// What a container with NET_ADMIN can do to itself.
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		_, dst, _ := net.ParseCIDR("127.0.0.1/32")
		a, _ := netlink.ParseAddr("127.0.0.1/8")
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0),
			netlink.AddrDel(lo, a),
			netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.IPv4(172, 17, 0, 1)}),
		)
	})
	m.hears(guest.File(), "udp4", "172.17.0.1:7777", "host")
	m.silent(guest.File(), "udp4", "127.0.0.1:7777")
}

func TestUDPMeetsTheNewContainer(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	old := m.guest("old", tcp(80, 8080), "front")
	m.serve(old, "80", "old")
	c, err := net.Dial("udp4", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exchange := func() string {
		buf := make([]byte, 100)
		if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got := exchange(); !strings.HasPrefix(got, "old") {
		t.Errorf("got %q", got)
	}
	m.stop(old)
	m.serve(m.guest("new", tcp(80, 8080), "front"), "80", "new")
	if got := exchange(); !strings.HasPrefix(got, "new") {
		t.Errorf("got %q", got)
	}
}

func TestResolverRedirect(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	s, err := m.NewSandbox("c1", []network.Attachment{{Network: "front"}}, nil, network.SandboxOptions{Name: "c1", Resolver: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), m.Release("c1")); err != nil {
			t.Error(err)
		}
	})
	if s.ResolverPort() < 32768 || s.ResolverPort() > 60999 {
		t.Errorf("the resolver's port is %d", s.ResolverPort())
	}
	m.serveIn(s.File(), net.JoinHostPort("127.0.0.11", strconv.Itoa(int(s.ResolverPort()))), "resolver")
	for _, proto := range []string{"tcp4", "udp4"} {
		m.hears(s.File(), proto, "127.0.0.11:53", "resolver for 127.0.0.1")
	}
	m.serveIn(s.File(), ":53", "own")
	for _, proto := range []string{"tcp4", "udp4"} {
		m.hears(s.File(), proto, "127.0.0.11:53", "resolver for 127.0.0.1")
		m.hears(s.File(), proto, s.Endpoints()[s.ResolverNetworks()[1]].IPAddress+":53", "own")
	}
}
