package ipam_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"stackrun.dev/stack/engine/embedded/network/ipam"
)

func space(t *testing.T, subnet, pool string) *ipam.Space {
	t.Helper()
	s, err := ipam.NewSpace(netip.MustParsePrefix(subnet), netip.MustParsePrefix(pool))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t *testing.T, s *ipam.Space, want string) {
	t.Helper()
	got, err := s.Next()
	if err != nil || got.String() != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}

func TestNextGoesRound(t *testing.T) {
	s := space(t, "10.0.0.0/29", "10.0.0.0/29")
	for _, want := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		next(t, s, want)
	}
	s.Free(netip.MustParseAddr("10.0.0.1"))
	s.Free(netip.MustParseAddr("10.0.0.3"))
	for _, want := range []string{"10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.1", "10.0.0.3"} {
		next(t, s, want)
	}
	if a, err := s.Next(); !errors.Is(err, ipam.ErrExhausted) {
		t.Errorf("a seventh host of six: %v, %v", a, err)
	}
	s.Free(netip.MustParseAddr("10.0.0.2"))
	next(t, s, "10.0.0.2")
}

func TestRange(t *testing.T) {
	s := space(t, "10.0.0.0/16", "10.0.7.4/30")
	for _, want := range []string{"10.0.7.4", "10.0.7.5", "10.0.7.6", "10.0.7.7"} {
		next(t, s, want)
	}
	if a, err := s.Next(); !errors.Is(err, ipam.ErrExhausted) {
		t.Errorf("a fifth of four: %v, %v", a, err)
	}
	if err := s.Take(netip.MustParseAddr("10.0.200.1")); err != nil {
		t.Errorf("an address of the subnet beyond the range: %v", err)
	}
}

func TestTake(t *testing.T) {
	for _, test := range []struct {
		address string
		want    error
	}{
		{"10.0.0.1", nil},
		{"10.0.0.0", ipam.ErrTaken},
		{"10.0.0.255", ipam.ErrTaken},
		{"10.0.1.1", ipam.ErrOutside},
		{"fd00::1", ipam.ErrOutside},
	} {
		s := space(t, "10.0.0.0/24", "10.0.0.0/24")
		a := netip.MustParseAddr(test.address)
		if err := s.Take(a); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", a, err, test.want)
		}
		if err := s.Take(a); err == nil {
			t.Errorf("%s was given twice", a)
		}
	}
}

func TestTinySubnets(t *testing.T) {
	two := space(t, "10.0.0.6/31", "10.0.0.6/31")
	next(t, two, "10.0.0.6")
	next(t, two, "10.0.0.7")
	one := space(t, "10.0.0.6/32", "10.0.0.6/32")
	next(t, one, "10.0.0.6")
	if a, err := one.Next(); !errors.Is(err, ipam.ErrExhausted) {
		t.Errorf("a second address of one: %v, %v", a, err)
	}
}

func TestNewSpaceRefuses(t *testing.T) {
	for _, test := range [][2]string{{"10.0.0.0/24", "10.0.1.0/24"}, {"10.0.0.0/24", "10.0.0.0/16"}, {"fd00::/64", "fd00::/64"}} {
		_, err := ipam.NewSpace(netip.MustParsePrefix(test[0]), netip.MustParsePrefix(test[1]))
		if err == nil {
			t.Errorf("%s with the range %s was accepted", test[0], test[1])
		}
	}
}

// Whatever is taken and freed in whatever order: no address is held twice, none outside is given out, and the space is
// exhausted exactly when everything is held.
func TestSpaceProperties(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		bits := 24 + r.IntN(6)
		subnet := netip.PrefixFrom(netip.MustParseAddr("10.1.2.0"), bits)
		s, err := ipam.NewSpace(subnet, subnet)
		if err != nil {
			t.Fatal(err)
		}
		capacity := 1<<(32-bits) - 2
		var held []netip.Addr
		for step := range 1000 {
			if len(held) > 0 && r.IntN(5) < 2 {
				i := r.IntN(len(held))
				s.Free(held[i])
				held = slices.Delete(held, i, i+1)
				continue
			}
			a, err := s.Next()
			if (err != nil) != (len(held) == capacity) {
				t.Fatalf("seed %d, step %d: %v with %d of %d held", seed, step, err, len(held), capacity)
			}
			if err != nil {
				continue
			}
			if !subnet.Contains(a) || slices.Contains(held, a) {
				t.Fatalf("seed %d, step %d: got %s", seed, step, a)
			}
			held = append(held, a)
		}
	}
}

func TestPick(t *testing.T) {
	pools := ipam.DefaultPools()
	if len(pools) != 31 || pools[0].String() != "172.17.0.0/16" || pools[30].String() != "192.168.240.0/20" {
		t.Errorf("the pools are %v", pools)
	}
	var used []netip.Prefix
	for i := range pools {
		p, err := ipam.Pick(pools, slices.Values(used))
		if err != nil || p != pools[i] {
			t.Fatalf("pool %d is %s, %v", i, p, err)
		}
		used = append(used, p)
	}
	if p, err := ipam.Pick(pools, slices.Values(used)); err == nil {
		t.Errorf("another pool: %s", p)
	}
	wide := slices.Values([]netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")})
	if p, err := ipam.Pick(pools, wide); err != nil || p.String() != "192.168.0.0/20" {
		t.Errorf("beside 172.16.0.0/12: %s, %v", p, err)
	}
}
