package kernel_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

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
