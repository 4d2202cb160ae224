package memory

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// handover is a container's part in replacements without a gap; see engine.LabelTakesOver.
type handover struct {
	promised []promise
	leaving  bool // it is about to end
	unready  bool // it takes another one's place and has not been healthy yet
}

// promise is a port of the host that a container gets when another one begins to end.
type promise struct {
	holder  *ctr
	at      hostPort
	port    nat.Port
	binding nat.PortBinding
}

// replaces tells whether one of the two containers is there to take the other's place.
func (c *ctr) replaces(other *ctr) bool {
	return c.config.Labels[engine.LabelTakesOver] == other.id || other.config.Labels[engine.LabelTakesOver] == c.id
}

// overlaps tells whether two containers cannot have both at the same time.
func (p hostPort) overlaps(other hostPort) bool {
	return p.proto == other.proto && p.port == other.port && (!p.ip.IsValid() || !other.ip.IsValid() || p.ip == other.ip)
}

// promise finds a port of the range that nobody has but a container whose place c takes, and that is not promised yet.
func (e *Engine) promise(c *ctr, at hostPort, low, high int, port nat.Port, b nat.PortBinding) bool {
	for at.port = low; at.port <= high; at.port++ {
		holder := e.onlyHolder(at)
		if holder == nil || holder == c || !c.replaces(holder) || e.isPromised(at) {
			continue
		}
		b.HostPort = strconv.Itoa(at.port)
		c.promised = append(c.promised, promise{holder, at, port, b})
		return true
	}
	return false
}

// onlyHolder returns who has the port, nil if that is nobody or several.
func (e *Engine) onlyHolder(at hostPort) *ctr {
	var only *ctr
	for p, owner := range e.ports {
		if !p.overlaps(at) {
			continue
		}
		if only != nil && only != owner {
			return nil
		}
		only = owner
	}
	return only
}

func (e *Engine) isPromised(at hostPort) bool {
	for _, c := range e.containers {
		if slices.ContainsFunc(c.promised, func(p promise) bool { return p.at.overlaps(at) }) {
			return true
		}
	}
	return false
}

// handOver gives a container's ports to those that they are promised to. It is about to end.
func (e *Engine) handOver(from *ctr) {
	from.leaving = true
	for _, heir := range e.containers {
		heir.promised = slices.DeleteFunc(heir.promised, func(p promise) bool {
			if p.holder == from {
				e.give(p, heir)
			}
			return p.holder == from
		})
	}
}

// claim is handOver for a container that has just started, if who has what it is promised is about to end already.
func (e *Engine) claim(c *ctr) {
	for _, p := range slices.Clone(c.promised) {
		if p.holder.leaving {
			e.handOver(p.holder)
		}
	}
}

func (e *Engine) give(p promise, heir *ctr) {
	for at, owner := range e.ports {
		if owner == p.holder && at.overlaps(p.at) {
			delete(e.ports, at)
			p.holder.unpublish(at)
		}
	}
	e.ports[p.at] = heir
	heir.published[p.port] = append(heir.published[p.port], p.binding)
}

// unpublish takes the port out of what the container shows.
func (c *ctr) unpublish(at hostPort) {
	for port, bindings := range c.published {
		if port.Proto() != at.proto {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(bindings), func(b nat.PortBinding) bool {
			return b.HostPort == strconv.Itoa(at.port) && hostIP(b) == at.ip
		})
		if c.published[port] = rest; len(rest) == 0 {
			delete(c.published, port)
		}
	}
}

// hostIP is the zero address for all of them.
func hostIP(b nat.PortBinding) netip.Addr {
	if b.HostIP == "" || b.HostIP == "0.0.0.0" {
		return netip.Addr{}
	}
	ip, _ := netip.ParseAddr(b.HostIP) // was parsed before
	return ip
}

// standing is how well the container answers for a name that others have, too: the lowest do.
func (c *ctr) standing() int {
	switch {
	case c.leaving:
		return 2
	case c.unready:
		return 1
	}
	return 0
}

// best leaves of the containers those that answer best.
func best(all []*ctr) []*ctr {
	if len(all) == 0 {
		return nil
	}
	top := slices.MinFunc(all, func(a, b *ctr) int { return cmp.Compare(a.standing(), b.standing()) }).standing()
	return slices.DeleteFunc(all, func(c *ctr) bool { return c.standing() > top })
}
