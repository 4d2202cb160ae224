package project

import "net/netip"

// pools are subnets, indexed so that those in the way of another one are found without a look at each.
type pools struct {
	has   map[netip.Prefix]numbered // the first with this prefix
	above map[netip.Prefix]numbered // the first that is inside this prefix
}

type numbered struct {
	subnet
	number int // in the order in which they were added
}

func newPools() *pools {
	return &pools{has: make(map[netip.Prefix]numbered), above: make(map[netip.Prefix]numbered)}
}

// overlapping is the first of the pools that has addresses in common with the subnet. Of two prefixes that do, one contains
// the other.
func (p *pools) overlapping(s subnet) (subnet, bool) {
	first, found := p.above[s.Masked()]
	for bits := s.Bits(); bits >= 0; bits-- {
		prefix, _ := s.Addr().Prefix(bits)
		if n, ok := p.has[prefix]; ok && (!found || n.number < first.number) {
			first, found = n, true
		}
	}
	return first.subnet, found
}

func (p *pools) add(s subnet) {
	n := numbered{s, len(p.has)}
	if _, ok := p.has[s.Masked()]; ok {
		return // whatever overlaps this one overlaps that one
	}
	p.has[s.Masked()] = n
	for bits := s.Bits() - 1; bits >= 0; bits-- {
		prefix, _ := s.Addr().Prefix(bits)
		if _, ok := p.above[prefix]; ok {
			return // and so have all that are wider
		}
		p.above[prefix] = n
	}
}
