package project

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// addresses reports networks whose subnets overlap, and addresses outside their subnet or given twice. A network that no
// service is on is not made, and is in nobody's way.
func (v *validator) addresses() {
	used := make(map[string]bool)
	for _, s := range v.Services {
		for name := range s.Networks {
			used[name] = true
		}
	}
	all := newPools()
	for _, name := range v.NetworkNames() {
		n := v.Networks[name]
		if n.External || n.Ipam.Driver != "" && n.Ipam.Driver != "default" {
			continue
		}
		own := v.subnets(name, n)
		v.fixedAddresses(name, own)
		rivals := all
		if !used[name] {
			rivals = newPools()
		}
		for _, s := range own {
			if other, ok := rivals.overlapping(s); ok {
				v.overlap(s, other)
			}
			rivals.add(s)
		}
	}
}

// subnet is one of a network's pools of addresses.
type subnet struct {
	netip.Prefix
	network string
	item    string // its index
	gateway netip.Addr
}

func (v *validator) overlap(s, other subnet) {
	problem := fmt.Sprintf("subnet %s of network %s overlaps %s of network %s", s.Prefix, s.network, other.Prefix, other.network)
	if s.network == other.network {
		problem = fmt.Sprintf("subnet %s overlaps %s of the same network", s.Prefix, other.Prefix)
	}
	v.fail("overlapping-subnets", problem, "choose another subnet, or leave it out to have one chosen", "networks", s.network, "ipam", "config", s.item, "subnet")
}

// subnets reads the pools of a network and checks that what belongs to each is inside it.
func (v *validator) subnets(network string, n types.NetworkConfig) []subnet {
	var out []subnet
	for i, pool := range n.Ipam.Config {
		if pool == nil {
			continue
		}
		at := func(path ...string) []string {
			return append([]string{"networks", network, "ipam", "config", index(i)}, path...)
		}
		prefix, err := netip.ParsePrefix(pool.Subnet)
		if err != nil { // there is none; what is not one was reported before
			if pool.Subnet == "" && pool.Gateway != "" {
				v.fail("missing-key", "a gateway needs the subnet that it is in", "add subnet:", at("gateway")...)
			}
			continue
		}
		gateway, _ := netip.ParseAddr(pool.Gateway)
		out = append(out, subnet{prefix, network, index(i), gateway})
		v.inside(prefix, "the gateway", pool.Gateway, at("gateway"))
		for _, host := range slices.Sorted(maps.Keys(pool.AuxiliaryAddresses)) {
			v.inside(prefix, "the address of "+host, pool.AuxiliaryAddresses[host], at("aux_addresses", host))
		}
		if part, err := netip.ParsePrefix(pool.IPRange); err == nil && (part.Bits() < prefix.Bits() || !prefix.Contains(part.Addr())) {
			v.fail("outside-subnet", fmt.Sprintf("the range %s is not inside the subnet %s", part, prefix), "choose a range inside the subnet", at("ip_range")...)
		}
	}
	return out
}

func (v *validator) inside(prefix netip.Prefix, what, address string, path []string) {
	a, err := netip.ParseAddr(address)
	if err == nil && !prefix.Contains(a) {
		v.fail("outside-subnet", fmt.Sprintf("%s, %s, is not inside the subnet %s", what, a, prefix), "choose an address inside the subnet", path...)
	}
}

// fixedAddresses checks those that services have on the network.
func (v *validator) fixedAddresses(network string, pools []subnet) {
	taken := make(map[netip.Addr]string)
	for _, p := range pools {
		if p.gateway.IsValid() {
			taken[p.gateway] = "the gateway"
		}
	}
	for _, name := range v.ServiceNames() {
		on := v.Services[name].Networks[network]
		if on == nil {
			continue
		}
		for _, fixed := range []struct{ attribute, text string }{{"ipv4_address", on.Ipv4Address}, {"ipv6_address", on.Ipv6Address}} {
			if a, err := netip.ParseAddr(fixed.text); err == nil {
				v.fixed(a, network, pools, name, taken, []string{"services", name, "networks", network, fixed.attribute})
			}
		}
	}
}

func (v *validator) fixed(a netip.Addr, network string, pools []subnet, service string, taken map[netip.Addr]string, path []string) {
	other, twice := taken[a]
	scale := v.Services[service]
	switch {
	case !slices.ContainsFunc(pools, func(p subnet) bool { return p.Addr().Is4() == a.Is4() }):
		v.fail("outside-subnet", fmt.Sprintf("network %s has no subnet for the address %s", network, a),
			fmt.Sprintf("write the subnet:\n  networks:\n    %s:\n      ipam: {config: [{subnet: %s}]}", network, around(a)), path...)
	case !slices.ContainsFunc(pools, func(p subnet) bool { return p.Contains(a) }):
		v.fail("outside-subnet", fmt.Sprintf("the address %s is not inside a subnet of network %s: %s", a, network, listOf(pools)), "choose an address inside the subnet", path...)
	case twice:
		v.fail("duplicate-address", fmt.Sprintf("the address %s is that of %s already", a, other), "choose another address", path...)
	case scale.GetScale() > 1:
		v.fail("address-scale", fmt.Sprintf("an address can be used once only, and the scale is %d", scale.GetScale()), "remove the address", path...)
	}
	taken[a] = "service " + service
}

// around is a subnet of the usual size with the address in it.
func around(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

func listOf(pools []subnet) string {
	text := ""
	for i, p := range pools {
		if i > 0 {
			text += ", "
		}
		text += p.String()
	}
	return text
}
