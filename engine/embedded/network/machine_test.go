package network_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	docker "github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"

	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/network/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// store is a Store in memory.
type store struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (s *store) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	s.records[key] = value
	return nil
}

func (s *store) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *store) All() (map[string][]byte, error) { return s.records, nil }

// machine is the test's host with an engine's networks on it.
type machine struct {
	*network.Manager
	t     testing.TB
	store *store
	made  int
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	nettest.Root(t)
	m := &machine{t: t, store: &store{}}
	m.start()
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		checkClean(t)
	})
	return m
}

func (m *machine) start() {
	m.t.Helper()
	manager, err := network.Open(network.Options{Instance: "0badcafe", Store: m.store})
	if err != nil {
		m.t.Fatal(err)
	}
	m.Manager = manager
}

// checkClean fails the test if links or rules are left. Links of namespaces without processes and descriptors are the
// kernel's to remove.
func checkClean(t testing.TB) {
	t.Helper()
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		links, err = netlink.LinkList()
	}
	if err != nil {
		t.Error(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "st") {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err == nil && len(out) > 0 {
		t.Errorf("rules are left:\n%s", out)
	}
}

func (m *machine) network(name string, opts docker.CreateOptions) string {
	m.t.Helper()
	id, err := m.Create(name, opts)
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// guest is a running container: its namespace, without processes.
type guest struct {
	*network.Sandbox
	id string
}

func (m *machine) guest(name string, ports []network.Port, networks ...string) *guest {
	m.t.Helper()
	var attachments []network.Attachment
	for _, n := range networks {
		attachments = append(attachments, network.Attachment{Network: n})
	}
	m.made++
	g := &guest{id: fmt.Sprintf("%012x%052d", m.made, 0)}
	var err error
	if g.Sandbox, err = m.NewSandbox(g.id, attachments, ports, network.SandboxOptions{Name: name}); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { m.stop(g) })
	return g
}

func (m *machine) stop(g *guest) {
	if g.Sandbox == nil {
		return
	}
	if err := g.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		m.t.Error(err)
	}
	g.Sandbox = nil
	if err := m.Release(g.id); err != nil {
		m.t.Error(err)
	}
}

// address is the guest's on the network.
func (m *machine) address(g *guest, ref string) string {
	m.t.Helper()
	id, _, err := m.Resolve(ref)
	if err != nil {
		m.t.Fatal(err)
	}
	return g.Endpoints()[id].IPAddress
}

// serve answers every connection to the port with the name and who asked, and every datagram likewise.
func (m *machine) serve(g *guest, port, name string) {
	m.t.Helper()
	m.serveIn(g.File(), ":"+port, name)
}

func (m *machine) serveIn(netns *os.File, address, name string) {
	m.t.Helper()
	nettest.In(m.t, netns, func() error {
		l, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		m.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				fmt.Fprintf(c, "%s for %s", name, from)
				c.Close()
			}
		}()
		u, err := net.ListenPacket("udp4", address)
		if err != nil {
			return err
		}
		m.t.Cleanup(func() { u.Close() })
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(from.String())
				_, _ = u.WriteTo([]byte(name+" for "+host), from)
			}
		}()
		return nil
	})
}

// deadline is how long an answer may take on a busy machine, and patience how long a test waits for one that must not
// come.
const (
	deadline = 5 * time.Second
	patience = 150 * time.Millisecond
)

func ask(proto, address string, wait time.Duration) (string, error) {
	c, err := net.DialTimeout(proto, address, wait)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if proto == "udp4" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		return string(buf[:n]), err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// hears fails the test unless somebody in the namespace (nil: on the host) gets an answer that begins with want.
func (m *machine) hears(netns *os.File, proto, address, want string) {
	m.t.Helper()
	m.in(netns, func() error {
		answer, err := ask(proto, address, deadline)
		if err != nil || !strings.HasPrefix(answer, want) {
			return fmt.Errorf("%s %s: %q, %w; want %q", proto, address, answer, err, want)
		}
		return nil
	})
}

// silent fails the test if somebody answers.
func (m *machine) silent(netns *os.File, proto, address string) {
	m.t.Helper()
	m.in(netns, func() error {
		if answer, err := ask(proto, address, patience); err == nil {
			return fmt.Errorf("%s %s answered %q", proto, address, answer)
		}
		return nil
	})
}

func (m *machine) in(netns *os.File, f func() error) {
	m.t.Helper()
	if netns != nil {
		nettest.In(m.t, netns, f)
		return
	}
	if err := f(); err != nil {
		m.t.Error(err)
	}
}

func tcp(container, host uint16) []network.Port {
	return []network.Port{
		{Container: container, Proto: "tcp", First: host, Last: host},
		{Container: container, Proto: "udp", First: host, Last: host},
	}
}

// world is a machine outside: 192.0.2.1 on the host's network 192.0.2.0/24, where the host is 192.0.2.2.
func (m *machine) world() *os.File {
	m.t.Helper()
	world := nettest.NewNamespace(m.t)
	wire := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wan"}, PeerName: "wan", PeerNamespace: netlink.NsFd(world.Fd())}
	if err := netlink.LinkAdd(wire); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := netlink.LinkDel(wire); err != nil {
			m.t.Error(err)
		}
	})
	up := func(address string) error {
		link, err := netlink.LinkByName("wan")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
	}
	if err := up("192.0.2.2/24"); err != nil {
		m.t.Fatal(err)
	}
	nettest.In(m.t, world, func() error { return up("192.0.2.1/24") })
	return world
}

// routeWorld lets the world send to a subnet by way of the host, as an attacker next to it would.
func (m *machine) routeWorld(world *os.File, subnet string) {
	m.t.Helper()
	nettest.In(m.t, world, func() error {
		_, dst, err := net.ParseCIDR(subnet)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.IPv4(192, 0, 2, 2)})
	})
}
