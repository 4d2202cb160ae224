package kernel_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

func open(t testing.TB) *kernel.Linux {
	t.Helper()
	nettest.Root(t)
	l, err := kernel.New(0x7e570000 + uint32(os.Getpid()&0xffff))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := l.Links()
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

var bridge = kernel.Bridge{
	Name:    "sttestbridge",
	MAC:     net.HardwareAddr{0x02, 0x42, 10, 213, 0, 1},
	Address: netip.MustParsePrefix("10.213.0.1/16"),
}

func addBridge(t testing.TB, l *kernel.Linux) {
	t.Helper()
	if err := l.AddBridge(bridge); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.DeleteLinks(bridge.Name); err != nil {
			t.Error(err)
		}
	})
}

func wire(n int) kernel.Interface {
	return kernel.Interface{
		Name: "eth0", Host: fmt.Sprintf("sttest%d", n), Bridge: bridge.Name,
		MAC:     net.HardwareAddr{0x02, 0x42, 10, 213, byte(n >> 8), byte(n)},
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte((n + 10) >> 8), byte(n + 10)}), 16),
	}
}

func BenchmarkNamespace(b *testing.B) {
	for _, parallel := range []int{1, 10, 50} {
		for _, resolver := range []uint16{0, 40053} {
			b.Run(fmt.Sprintf("parallel=%d/resolver=%t", parallel, resolver != 0), func(b *testing.B) {
				l := open(b)
				addBridge(b, l)
				hosts := make([]string, parallel)
				for b.Loop() {
					var wg sync.WaitGroup
					files := make([]*os.File, parallel)
					for i := range parallel {
						wg.Go(func() {
							w := wire(i)
							hosts[i] = w.Host
							var err error
							files[i], err = l.NewNamespace(kernel.Namespace{Interfaces: []kernel.Interface{w},
								Gateway: bridge.Address.Addr(), Resolver: resolver})
							if err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
					b.StopTimer()
					if err := l.DeleteLinks(hosts...); err != nil {
						b.Error(err)
					}
					for _, f := range files {
						f.Close()
					}
					b.StartTimer()
				}
				b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*parallel), "ms/sandbox")
			})
		}
	}
}

func attrs(t *testing.T, name string) *netlink.LinkAttrs {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs()
}

func TestNamespace(t *testing.T) {
	l := open(t)
	addBridge(t, l)
	w := wire(1)
	w.MTU, w.Sysctls = 1400, map[string]string{"net/ipv4/conf/IFNAME/log_martians": "1"}
	file, err := l.NewNamespace(kernel.Namespace{Interfaces: []kernel.Interface{w}, Gateway: bridge.Address.Addr(),
		Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "7"}})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	port := attrs(t, w.Host)
	if port.MasterIndex != attrs(t, bridge.Name).Index || port.MTU != 1400 || port.Flags&net.FlagUp == 0 {
		t.Errorf("the port is %+v", port)
	}
	nettest.In(t, file, func() error {
		for path, want := range map[string]string{
			"net/ipv4/ip_unprivileged_port_start": "7\n",
			"net/ipv4/conf/eth0/log_martians":     "1\n",
			"net/ipv6/conf/eth0/disable_ipv6":     "1\n",
		} {
			if got, err := os.ReadFile("/proc/sys/" + path); string(got) != want && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is %q, %v", path, got, err)
			}
		}
		eth0 := attrs(t, "eth0")
		if eth0.HardwareAddr.String() != w.MAC.String() || eth0.MTU != 1400 || attrs(t, "lo").Flags&net.FlagUp == 0 {
			t.Errorf("the interface is %+v", eth0)
		}
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		if err != nil || len(routes) != 2 {
			t.Errorf("the routes are %v, %v", routes, err)
		}
		return nil
	})
	if err := l.DeleteLinks(w.Host); err != nil {
		t.Error(err)
	}
}

// openFiles counts the process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestFailedNamespacesLeaveNothing(t *testing.T) {
	l := open(t)
	addBridge(t, l)
	good := wire(1)
	noBridge, badName, badSysctl, twice := good, good, good, wire(2)
	noBridge.Bridge = "stnowhere"
	badName.Name = "a name that is too long"
	badSysctl.Sysctls = map[string]string{"net/ipv4/conf/IFNAME/nonsense": "1"}
	twice.Name = good.Name
	far := netip.MustParseAddr("10.9.9.9")
	before := openFiles(t)
	for name, n := range map[string]kernel.Namespace{
		"no such bridge":    {Interfaces: []kernel.Interface{good, noBridge}},
		"bad name":          {Interfaces: []kernel.Interface{badName}},
		"same name twice":   {Interfaces: []kernel.Interface{good, twice}},
		"bad setting":       {Interfaces: []kernel.Interface{badSysctl}},
		"setting of others": {Sysctls: map[string]string{"vm.nonsense": "1"}},
		"way out of net":    {Sysctls: map[string]string{"net/../net/ipv4/ip_default_ttl": "64"}},
		"far gateway":       {Interfaces: []kernel.Interface{good}, Gateway: far},
	} {
		if file, err := l.NewNamespace(n); err == nil || file != nil {
			t.Errorf("%s: %v, %v", name, file, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before it were %d", after, before)
	}
	// The namespaces are gone, and the kernel takes the links inside down; this is only faster.
	if err := l.DeleteLinks(good.Host, twice.Host); err != nil {
		t.Error(err)
	}
}

func TestBridgeIsMadeOnce(t *testing.T) {
	l := open(t)
	addBridge(t, l)
	index := attrs(t, bridge.Name).Index
	if err := l.AddBridge(bridge); err != nil || attrs(t, bridge.Name).Index != index {
		t.Errorf("again: %v", err)
	}
	if err := l.Silence(bridge.Name); err != nil {
		t.Error(err)
	}
	routes, err := l.Routes()
	if err != nil || len(routes) != 0 {
		t.Errorf("a silent bridge has the routes %v, %v", routes, err)
	}
	if err := l.AddBridge(bridge); err != nil {
		t.Error(err)
	}
	want := kernel.Route{Prefix: bridge.Address.Masked(), Link: bridge.Name}
	if routes, err := l.Routes(); err != nil || len(routes) != 1 || routes[0] != want {
		t.Errorf("the routes are %v, %v", routes, err)
	}
}

func TestForeignLinksAreLeftAlone(t *testing.T) {
	l := open(t)
	foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge.Name}}
	if err := netlink.LinkAdd(foreign); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkDel(foreign)
	if err := l.AddBridge(bridge); err == nil {
		t.Error("a foreign link was taken over")
	}
	if err := l.DeleteLinks(bridge.Name); err != nil {
		t.Error(err)
	}
	if got := attrs(t, bridge.Name); got.Flags&net.FlagUp != 0 {
		t.Errorf("the foreign link was changed: %+v", got)
	}
	if names, err := l.Links(); err != nil || len(names) != 0 {
		t.Errorf("ours are %v, %v", names, err)
	}
}
