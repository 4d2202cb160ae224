package runtime

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNetns runs f on a thread of its own in a network namespace; a new one if the file is nil, whose file is returned.
func inNetns(tb testing.TB, netns *os.File, f func() error) (file *os.File) {
	tb.Helper()
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // the thread ends with the goroutine
		done <- func() error {
			var err error
			if netns == nil {
				err = unix.Unshare(unix.CLONE_NEWNET)
			} else {
				err = unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET)
			}
			if err != nil {
				return err
			}
			if file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
				return err
			}
			return f()
		}()
	}()
	must(tb, <-done)
	return file
}

func TestNamesOutliveEngineAndShim(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	netns := inNetns(t, nil, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	defer netns.Close()
	table := func(addr string) Names {
		return Names{"n1": {Hosts: map[string][]netip.Addr{"db": {netip.MustParseAddr(addr)}}}}
	}
	must(t, w.SetNames(ctx, table("10.9.9.1"))) // before there is anybody to tell
	c := w.container("asks", "sleep", "1000")
	c.NetNS, c.Resolver = netns, &Resolver{Port: 40053, Networks: []string{"n1"}}
	w.run(c)
	ask := func(when, want string) {
		t.Helper()
		inNetns(t, netns, func() error {
			conn, err := net.Dial("udp4", "127.0.0.11:40053")
			if err != nil {
				return err
			}
			defer conn.Close()
			a, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion("db.", dns.TypeA), &dns.Conn{Conn: conn})
			if err != nil {
				return fmt.Errorf("%s: %w", when, err)
			}
			got := ""
			if len(a.Answer) > 0 {
				got = dns.Field(a.Answer[0], 1)
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", when, got, want)
			}
			return nil
		}).Close()
	}
	ask("at first", "10.9.9.1")
	must(t, w.SetNames(ctx, table("10.9.9.2")))
	ask("after a change", "10.9.9.2")
	must(t, w.Close())
	ask("without an engine", "10.9.9.2")
	w.open()
	w.killShims()
	w.sh("asks", ExecConfig{}, "true")
	ask("after the shim died", "10.9.9.2")
	must(t, w.SetNames(ctx, table("10.9.9.3")))
	ask("after another change", "10.9.9.3")
	must(t, w.SetNetworks(ctx, "asks", nil))
	ask("without a network", "")
	must(t, w.SetNames(ctx, Names{"n2": {Hosts: map[string][]netip.Addr{"db": {netip.MustParseAddr("10.8.8.1")}}}}))
	must(t, w.SetNetworks(ctx, "asks", []string{"n2"}))
	ask("on another network", "10.8.8.1")
}
