package network_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	docker "github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/network"
)

func (g *guest) path() string { return fmt.Sprintf("/proc/self/fd/%d", g.File().Fd()) }

func TestAttachAndDetach(t *testing.T) {
	m := newMachine(t)
	world := m.world()
	m.serveIn(world, ":80", "world")
	m.network("back", docker.CreateOptions{Internal: true})
	m.network("front", docker.CreateOptions{})
	m.network("early", docker.CreateOptions{})
	web := m.guest("web", tcp(80, 8080), "front")
	m.serve(web, "80", "web")
	inner := m.guest("inner", nil, "back")
	for round := range 2 {
		m.silent(inner.File(), "tcp4", m.address(web, "front")+":80")
		e, err := m.Attach(web.id, web.path(), network.Attachment{Network: "back", Settings: &docker.EndpointSettings{Aliases: []string{"site"}}})
		if err != nil {
			t.Fatal(err)
		}
		m.hears(inner.File(), "tcp4", e.IPAddress+":80", "web for "+m.address(inner, "back"))
		m.hears(world, "tcp4", "192.0.2.2:8080", "web for 192.0.2.1")

		// The other network's name sorts first, so its gateway takes over.
		if _, err := m.Attach(web.id, web.path(), network.Attachment{Network: "early"}); err != nil {
			t.Fatal(err)
		}
		m.hears(web.File(), "tcp4", "192.0.2.1:80", "world")
		m.hears(world, "tcp4", "192.0.2.2:8080", "web for 192.0.2.1")
		if err := m.Detach(web.id, web.path(), "early"); err != nil {
			t.Fatal(err)
		}
		m.hears(web.File(), "tcp4", "192.0.2.1:80", "world")
		m.hears(world, "tcp4", "192.0.2.2:8080", "web for 192.0.2.1")
		if err := m.Detach(web.id, web.path(), "back"); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// Whatever happened to engine and kernel, what runs goes on and what does not is gone.
func TestRecovery(t *testing.T) {
	run := func(name string, args ...string) func(*testing.T, *machine) {
		return func(t *testing.T, _ *machine) {
			if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", name, err, out)
			}
		}
	}
	bridges := func(t *testing.T) (list []netlink.Link) {
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Type() == "bridge" {
				list = append(list, l)
			}
		}
		return list
	}
	for _, test := range []struct {
		name   string
		happen func(*testing.T, *machine)
	}{
		{"the engine was killed", func(*testing.T, *machine) {}},
		{"the rules were flushed", run("nft", "flush", "ruleset")},
		{"a bridge was deleted", func(t *testing.T, _ *machine) {
			for _, b := range bridges(t) {
				if err := netlink.LinkDel(b); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a bridge lost its address", func(t *testing.T, _ *machine) {
			for _, b := range bridges(t) {
				addrs, err := netlink.AddrList(b, netlink.FAMILY_V4)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range addrs {
					if err := netlink.AddrDel(b, &a); err != nil {
						t.Fatal(err)
					}
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			m.network("front", docker.CreateOptions{})
			m.network("idle", docker.CreateOptions{})
			m.guest("was there", nil, "idle")
			web, peer := m.guest("web", tcp(80, 8080), "front"), m.guest("peer", nil, "front")
			gone := m.guest("gone", tcp(80, 8081), "front")
			m.serve(web, "80", "web")
			m.serve(gone, "80", "gone")
			m.hears(nil, "tcp4", "127.0.0.1:8081", "gone")
			test.happen(t, m)

			m.start()
			if err := m.Adopt([]string{web.id, peer.id}); err != nil {
				t.Fatal(err)
			}
			if err := gone.Close(); err != nil {
				t.Fatal(err)
			}
			m.hears(nil, "tcp4", "127.0.0.1:8080", "web for 172.17.0.1")
			m.hears(peer.File(), "tcp4", m.address(web, "front")+":80", "web for "+m.address(peer, "front"))
			m.silent(nil, "tcp4", "127.0.0.1:8081")
			next := m.guest("next", tcp(80, 8081), "front")
			m.serve(next, "80", "next")
			m.hears(nil, "tcp4", "127.0.0.1:8081", "next")
			for _, b := range bridges(t) {
				if b.Attrs().Name == bridgeOf(t, m, "idle") {
					t.Errorf("the bridge of the network without containers is still there")
				}
			}
		})
	}
}

func bridgeOf(t *testing.T, m *machine, ref string) string {
	t.Helper()
	id, _, err := m.Resolve(ref)
	if err != nil {
		t.Fatal(err)
	}
	return "st" + id[:10]
}

// Rules that somebody flushed come back with the next change, without a restart.
func TestFlushedRulesComeBack(t *testing.T) {
	m := newMachine(t)
	m.network("front", docker.CreateOptions{})
	web := m.guest("web", tcp(80, 8080), "front")
	m.serve(web, "80", "web")
	if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.silent(nil, "tcp4", "127.0.0.1:8080")
	m.guest("other", tcp(80, 8081), "front")
	m.hears(nil, "tcp4", "127.0.0.1:8080", "web")
}

// Two engines that know nothing of each other get along, even when they begin at the same time.
func TestTwoEngines(t *testing.T) {
	m := newMachine(t)
	other := &machine{t: t, store: &store{}}
	manager, err := network.Open(network.Options{Instance: "0ddba11f", Store: other.store})
	if err != nil {
		t.Fatal(err)
	}
	other.Manager = manager
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	m.network("front", docker.CreateOptions{})
	other.network("front", docker.CreateOptions{})
	a, b := m.guest("a", tcp(80, 8080), "front"), other.guest("b", tcp(80, 8081), "front")
	m.serve(a, "80", "a")
	other.serve(b, "80", "b")
	if strings.HasPrefix(m.address(a, "front"), "172.17.") == strings.HasPrefix(other.address(b, "front"), "172.17.") {
		t.Errorf("the addresses are %s and %s", m.address(a, "front"), other.address(b, "front"))
	}
	m.hears(nil, "tcp4", "127.0.0.1:8080", "a")
	m.hears(nil, "tcp4", "127.0.0.1:8081", "b")
	m.silent(a.File(), "tcp4", other.address(b, "front")+":80")
	m.silent(b.File(), "tcp4", m.address(a, "front")+":80")
	other.stop(b)
	if err := other.Adopt(nil); err != nil {
		t.Error(err)
	}
	m.hears(nil, "tcp4", "127.0.0.1:8080", "a")
}

// Docker and ufw make iptables drop what is forwarded; that must not concern our containers.
func TestDroppingPolicy(t *testing.T) {
	m := newMachine(t)
	world := m.world()
	m.serveIn(world, ":80", "world")
	iptables := func(args ...string) string {
		out, err := exec.Command("iptables", args...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "legacy") {
			t.Skip("needs the iptables program of nftables")
		}
		if err != nil {
			t.Fatalf("iptables %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	iptables("-P", "FORWARD", "DROP")
	t.Cleanup(func() {
		if got := iptables("-S", "FORWARD"); got != "-P FORWARD DROP\n" {
			t.Errorf("left behind:\n%s", got)
		}
		if out, err := exec.Command("nft", "delete", "table", "ip", "filter").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	m.network("front", docker.CreateOptions{})
	m.network("inner", docker.CreateOptions{Internal: true})
	web, inner := m.guest("web", tcp(80, 8080), "front"), m.guest("inner", nil, "inner")
	m.serve(web, "80", "web")
	m.hears(web.File(), "tcp4", "192.0.2.1:80", "world")
	m.hears(world, "tcp4", "192.0.2.2:8080", "web")
	m.silent(inner.File(), "tcp4", "192.0.2.1:80")
	m.silent(inner.File(), "tcp4", m.address(web, "front")+":80")
	m.stop(web)
	m.stop(inner)
	for _, name := range []string{"front", "inner"} {
		if err := m.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkSandbox(b *testing.B) {
	for _, parallel := range []int{1, 10, 50} {
		for _, published := range []bool{false, true} {
			b.Run(fmt.Sprintf("parallel=%d/published=%t", parallel, published), func(b *testing.B) {
				m := newMachine(b)
				m.network("front", docker.CreateOptions{})
				m.guest("first", nil, "front")
				var spent time.Duration
				for b.Loop() {
					spent += benchmarkRound(b, m, parallel, published)
				}
				b.ReportMetric(spent.Seconds()*1000/float64(b.N*parallel), "cpu-ms/sandbox")
				b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*parallel), "ms/sandbox")
			})
		}
	}
}

// processorTime is what this process has used, in the kernel too.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchmarkRound makes that many sandboxes at the same time and returns the processor time that this took.
func benchmarkRound(b *testing.B, m *machine, parallel int, published bool) time.Duration {
	before := processorTime()
	done := make(chan *network.Sandbox, parallel)
	for i := range parallel {
		go func() {
			var ports []network.Port
			if published {
				ports = []network.Port{{Container: 80, Proto: "tcp"}}
			}
			s, err := m.NewSandbox(fmt.Sprintf("c%063d", i), []network.Attachment{{Network: "front"}}, ports,
				network.SandboxOptions{Resolver: true})
			if err != nil {
				b.Error(err)
			}
			done <- s
		}()
	}
	files := make([]*os.File, parallel)
	for i := range parallel {
		files[i] = (<-done).File()
	}
	b.StopTimer()
	spent := processorTime() - before
	for i := range parallel {
		files[i].Close()
		if err := m.Release(fmt.Sprintf("c%063d", i)); err != nil {
			b.Error(err)
		}
	}
	if err := m.Repair(); err != nil { // so that no links of this round are being taken down in the next
		b.Error(err)
	}
	b.StartTimer()
	return spent
}
