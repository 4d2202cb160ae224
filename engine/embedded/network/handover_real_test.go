package network_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	docker "github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/network/nettest"
)

// dial connects from the host.
func (m *machine) dial(address string) net.Conn {
	m.t.Helper()
	c, err := net.DialTimeout("tcp4", address, deadline)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	return c
}

// heir is a guest that takes another one's place.
func (m *machine) heir(of *guest, name string, ports []network.Port, on string) *guest {
	m.t.Helper()
	m.made++
	g := &guest{id: fmt.Sprintf("%012x%052d", m.made, 0)}
	var err error
	if g.Sandbox, err = m.NewSandbox(g.id, []network.Attachment{{Network: on}}, ports, network.SandboxOptions{Name: name, TakesOver: of.id}); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { m.stop(g) })
	return g
}

// echo answers on port 80 of the guest what it is told.
func (m *machine) echo(g *guest) {
	m.t.Helper()
	var l net.Listener
	nettest.In(m.t, g.File(), func() (err error) {
		l, err = net.Listen("tcp4", ":81")
		return err
	})
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 10)
				for n, err := c.Read(buf); err == nil; n, err = c.Read(buf) {
					_, _ = c.Write(buf[:n])
				}
			}()
		}
	}()
}

// The ports pass for everybody who may ask, connections that were made stay, and datagrams follow at once.
func TestHandOverOnAMachine(t *testing.T) {
	m := newMachine(t)
	world := m.world()
	m.network("front", docker.CreateOptions{})
	m.network("back", docker.CreateOptions{})
	ports := append(tcp(80, 8080), network.Port{Container: 81, Proto: "tcp", First: 8081, Last: 8081})
	old := m.guest("old", ports, "front")
	neighbour, stranger := m.guest("neighbour", nil, "front"), m.guest("stranger", nil, "back")
	next := m.heir(old, "next", ports, "front")
	m.serve(old, "80", "old")
	m.serve(next, "80", "next")
	m.echo(old)
	everybody := func(want string) {
		t.Helper()
		gateway := m.gateway("front")
		for _, proto := range []string{"tcp4", "udp4"} {
			m.hears(nil, proto, "127.0.0.1:8080", want)
			m.hears(nil, proto, gateway+":8080", want)
			m.hears(world, proto, "192.0.2.2:8080", want)
			m.hears(neighbour.File(), proto, gateway+":8080", want)
			m.hears(stranger.File(), proto, m.gateway("back")+":8080", want)
			m.hears(next.File(), proto, gateway+":8080", want)
		}
	}
	everybody("old")
	if p := next.Ports(); len(p) != 0 {
		t.Errorf("the heir publishes %v", p)
	}
	long, datagrams := m.dial("127.0.0.1:8081"), m.datagrams("127.0.0.1:8080")
	m.echoes(long)
	m.told(datagrams, "old")
	if h, err := m.HandOver(old.id); err != nil || len(h.Ports) != 2 || h.Ports[0] != next.id || !h.Succeeded {
		t.Fatalf("%+v, %v", h, err)
	}
	everybody("next")
	m.echoes(long)
	m.told(datagrams, "next")
	m.start() // the engine is killed
	if err := m.Adopt([]string{old.id, next.id, neighbour.id, stranger.id}); err != nil {
		t.Fatal(err)
	}
	everybody("next")
	m.echoes(long)
	m.stop(old)
	everybody("next")
}

func (m *machine) gateway(ref string) string {
	m.t.Helper()
	n, err := m.Inspect(ref)
	if err != nil {
		m.t.Fatal(err)
	}
	return n.IPAM.Config[0].Gateway
}

func (m *machine) datagrams(address string) net.Conn {
	m.t.Helper()
	c, err := net.Dial("udp4", address)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	return c
}

// echoes checks that a connection still is one.
func (m *machine) echoes(c net.Conn) { m.exchange(c, "ping", "ping") }

// told checks who answers from now on, over a socket that was used before.
func (m *machine) told(c net.Conn, want string) { m.exchange(c, "?", want) }

func (m *machine) exchange(c net.Conn, say, want string) {
	m.t.Helper()
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		m.t.Fatal(err)
	}
	_, err := c.Write([]byte(say))
	buf := make([]byte, 100)
	n := 0
	if err == nil {
		n, err = c.Read(buf)
	}
	if err != nil || len(want) > n || string(buf[:len(want)]) != want {
		m.t.Errorf("said %q, heard %q, %v; want %q", say, buf[:n], err, want)
	}
}

// A server is quiet when nobody is connected to it from outside, or waits to be.
func TestQuiet(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	web := m.guest("web", tcp(80, 8080), "front")
	var server net.Listener
	nettest.In(t, web.File(), func() (err error) {
		server, err = net.Listen("tcp", ":80") // of IPv6, for IPv4 too
		return err
	})
	defer server.Close()
	accept := func() net.Conn {
		t.Helper()
		c, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	quiet := func(when string, want bool) {
		t.Helper()
		if got, err := m.Quiet(web.path()); err != nil || got != want {
			t.Errorf("%s: quiet %t, %v", when, got, err)
		}
	}
	quiet("nobody", true)
	var inside net.Conn
	nettest.In(t, web.File(), func() (err error) {
		inside, err = net.DialTimeout("tcp4", "127.0.0.1:80", deadline)
		return err
	})
	quiet("one from inside, not accepted", false)
	accept()
	quiet("one from inside", true)
	inside.Close()
	client := m.dial("127.0.0.1:8080")
	quiet("not accepted", false)
	accepted := accept()
	quiet("accepted", false)
	client.Close()
	quiet("half closed", false)
	accepted.Close()
	quiet("closed", true)
	if _, err := m.Quiet("/proc/self/fd/1000000"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a namespace that is not: %v", err)
	}
}
