// Package ipam hands out addresses: ranges to networks and single ones to containers. It only counts; who asks for
// what, and what of it outlives a restart, is the caller's business.
package ipam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Errors that callers tell apart.
var (
	ErrTaken     = errors.New("address already in use")
	ErrExhausted = errors.New("no address is free")
	ErrOutside   = errors.New("address is not in the subnet")
)

// Space is the addresses of one subnet. It is not safe for use from several goroutines.
type Space struct {
	subnet netip.Prefix
	pool   netip.Prefix // where Next picks from, part of subnet
	last   netip.Addr   // that Next gave out
	taken  map[netip.Addr]struct{}
	inPool uint64 // how many of taken are in pool
}

// NewSpace makes the space of a subnet of IPv4 whose addresses are picked from pool, which may be all of it. The
// network's own address and the broadcast address are never given out.
func NewSpace(subnet, pool netip.Prefix) (*Space, error) {
	subnet, pool = subnet.Masked(), pool.Masked()
	if !subnet.Addr().Is4() {
		return nil, fmt.Errorf("%s is not a subnet of IPv4", subnet)
	}
	if pool.Bits() < subnet.Bits() || !subnet.Contains(pool.Addr()) {
		return nil, fmt.Errorf("range %s is not within subnet %s", pool, subnet)
	}
	s := &Space{subnet: subnet, pool: pool, taken: map[netip.Addr]struct{}{}}
	if subnet.Bits() < 31 { // RFC 3021: a subnet of two addresses has no others
		s.hold(subnet.Addr())
		s.hold(lastOf(subnet))
	}
	return s, nil
}

// Next takes the first free address after the one it gave out last, so that an address rests as long as possible
// before it is used again.
func (s *Space) Next() (netip.Addr, error) {
	if s.inPool >= 1<<(32-s.pool.Bits()) {
		return netip.Addr{}, fmt.Errorf("%w in %s", ErrExhausted, s.pool)
	}
	a := s.last
	for {
		if a.IsValid() {
			a = a.Next()
		}
		if !s.pool.Contains(a) {
			a = s.pool.Addr()
		}
		if _, taken := s.taken[a]; !taken {
			s.hold(a)
			s.last = a
			return a, nil
		}
	}
}

// Take takes a particular address of the subnet.
func (s *Space) Take(a netip.Addr) error {
	if !s.subnet.Contains(a) {
		return fmt.Errorf("%w: %s, %s", ErrOutside, a, s.subnet)
	}
	if _, taken := s.taken[a]; taken {
		return fmt.Errorf("%w: %s", ErrTaken, a)
	}
	s.hold(a)
	return nil
}

// Free gives an address back. One that is not taken is not an error.
func (s *Space) Free(a netip.Addr) {
	if _, taken := s.taken[a]; !taken {
		return
	}
	delete(s.taken, a)
	if s.pool.Contains(a) {
		s.inPool--
	}
}

func (s *Space) hold(a netip.Addr) {
	s.taken[a] = struct{}{}
	if s.pool.Contains(a) {
		s.inPool++
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	first := p.Addr().As4()
	n := binary.BigEndian.Uint32(first[:]) | uint32(1<<(32-p.Bits())-1)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}
