package project

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
)

// publication is a port of the host that a service publishes.
type publication struct {
	service  string
	item     string   // the index in the service's ports
	at       Position // of the item; those of a range have the same
	ip       string
	port     int
	target   uint32
	protocol string
}

// against says whether the two cannot both be had.
func (p publication) against(other publication) bool {
	same := p.service == other.service && p.target == other.target // the port is only said twice
	return p.port == other.port && p.protocol == other.protocol && !same && sameAddress(p.ip, other.ip)
}

// clash is an entry of ports with what it takes of another service's.
type clash struct {
	publication
	other string
	ports []int
}

// published reports ports of the host that are published twice, each entry of ports once.
func (v *validator) published() {
	taken := make(map[int][]publication)
	var clashes []*clash
	for _, name := range v.ServiceNames() {
		s := v.Services[name]
		if s.GetScale() == 0 || s.NetworkMode == "host" || s.NetworkMode == "none" { // nothing is published
			continue
		}
		for _, p := range v.publications(s) {
			i := slices.IndexFunc(taken[p.port], p.against)
			if i < 0 {
				taken[p.port] = append(taken[p.port], p)
				continue
			}
			other := taken[p.port][i].service
			if last := len(clashes) - 1; last < 0 || clashes[last].at != p.at || clashes[last].other != other {
				clashes = append(clashes, &clash{publication: p, other: other})
			}
			clashes[len(clashes)-1].ports = append(clashes[len(clashes)-1].ports, p.port)
		}
	}
	for _, c := range clashes {
		by := "service " + c.other
		if c.other == c.service {
			by = "the same service"
		}
		v.fail("duplicate-port", fmt.Sprintf("%s published by %s already", portsOfHost(c.ports), by), "choose another port", "services", c.service, "ports", c.item)
	}
}

func portsOfHost(ports []int) string {
	if low, high := slices.Min(ports), slices.Max(ports); low != high {
		return fmt.Sprintf("ports %d-%d of the host are", low, high)
	}
	return fmt.Sprintf("port %d of the host is", ports[0])
}

// publications are the fixed ports of the host that the service publishes. Of a range for a single port the engine takes one
// that is free. A service with several containers cannot publish a fixed one at all, which is reported instead.
func (v *validator) publications(s types.ServiceConfig) []publication {
	var out []publication
	var reported Position
	for i, p := range s.Ports {
		port, err := strconv.Atoi(p.Published)
		if err != nil || port == 0 {
			continue
		}
		at := v.Position("services", s.Name, "ports", index(i))
		if s.GetScale() < 2 {
			out = append(out, publication{s.Name, index(i), at, p.HostIP, port, p.Target, p.Protocol})
			continue
		}
		if at != reported {
			problem := fmt.Sprintf("port %s of the host can be published by one container only, and the scale is %d", p.Published, s.GetScale())
			v.fail("published-port-scale", problem, "publish a range, or leave the host port out", "services", s.Name, "ports", index(i))
		}
		reported = at
	}
	return out
}

// sameAddress says whether a port on the one address is in the way of the same port on the other.
func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil { // "" is all addresses
		return true
	}
	x, y = x.Unmap(), y.Unmap()
	return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}
