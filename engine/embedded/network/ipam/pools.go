package ipam

import (
	"fmt"
	"iter"
	"net/netip"
)

// DefaultPools are the subnets that Docker gives to networks which ask for none: fifteen times 65,536 addresses and
// then sixteen times 4,096.
func DefaultPools() []netip.Prefix {
	var pools []netip.Prefix
	for second := range byte(15) {
		pools = append(pools, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17 + second}), 16))
	}
	for third := range byte(16) {
		pools = append(pools, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, third * 16}), 20))
	}
	return pools
}

// Pick returns the first pool that overlaps none of the ranges in use.
func Pick(pools []netip.Prefix, inUse iter.Seq[netip.Prefix]) (netip.Prefix, error) {
	for _, p := range pools {
		if _, found := Overlap(p, inUse); !found {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("all %d address pools overlap networks that exist; give the network a subnet", len(pools))
}

// Overlap returns the first of the ranges that shares an address with p.
func Overlap(p netip.Prefix, inUse iter.Seq[netip.Prefix]) (netip.Prefix, bool) {
	for other := range inUse {
		if p.Overlaps(other) {
			return other, true
		}
	}
	return netip.Prefix{}, false
}
