package project

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// The index finds what comparing with each finds.
func TestPools(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		p, all := newPools(), []subnet(nil)
		for i := range 30 {
			address := netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(256)), byte(r.IntN(256))})
			if r.IntN(3) == 0 {
				address = netip.AddrFrom16([16]byte{0xfd, byte(r.IntN(2)), byte(r.IntN(2)), 15: byte(r.IntN(3))})
			}
			s := subnet{Prefix: netip.PrefixFrom(address, r.IntN(address.BitLen()/2)+address.BitLen()/3), network: fmt.Sprint(i)}
			want := slices.IndexFunc(all, func(other subnet) bool { return s.Overlaps(other.Prefix) })
			got, ok := p.overlapping(s)
			if ok != (want >= 0) || ok && got.network != all[want].network {
				t.Fatalf("seed %d: %v among %v: %v, %v", seed, s, all, got, ok)
			}
			p.add(s)
			all = append(all, s)
		}
	}
}
