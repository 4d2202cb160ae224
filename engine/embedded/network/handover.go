package network

import (
	"cmp"
	"errors"
	"os"
	"slices"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

// replaces tells whether one of the two containers is there to take the other's place.
func (c *container) replaces(other *container) bool {
	return c.TakesOver == other.ID || other.TakesOver == c.ID
}

// promise finds a port of the host for p that c gets later: one that nobody has but a container whose place c takes, and
// that is promised to nobody else. The caller holds the lock.
func (m *Manager) promise(p Port, r Reservation, c *container) (*published, bool) {
	for port := int(p.First); p.First != 0 && port <= int(p.Last); port++ {
		r.Port = uint16(port)
		holder := m.ports.onlyHolder(r)
		if holder != nil && holder != c && c.replaces(holder) && !m.promised(r) {
			return &published{Port: p, Reservation: r, Waits: holder.ID, promised: true}, true
		}
	}
	return nil, false
}

// promised tells whether some container waits for the port.
func (m *Manager) promised(r Reservation) bool {
	for _, c := range m.containers {
		for _, p := range c.Ports {
			if p.Waits != "" && p.Reservation.overlaps(r) {
				return true
			}
		}
	}
	return false
}

// overlaps tells whether two containers cannot have both at the same time.
func (r Reservation) overlaps(other Reservation) bool {
	return r.Proto == other.Proto && r.Port == other.Port &&
		(r.HostIP == other.HostIP || r.HostIP.IsUnspecified() || other.HostIP.IsUnspecified())
}

// onlyHolder returns who has the port on the reservation's addresses, nil if that is nobody or several.
func (t *portTable) onlyHolder(r Reservation) *container {
	var only *container
	for _, h := range t.held[portNumber{r.Proto, r.Port}] {
		if h.ip != r.HostIP && !h.ip.IsUnspecified() && !r.HostIP.IsUnspecified() {
			continue
		}
		if only != nil && only != h.owner {
			return nil
		}
		only = h.owner
	}
	return only
}

// Handover is what changed when a container began to end.
type Handover struct {
	Ports     []string // IDs of the containers that have other ports now, or with an error perhaps, heirs first
	Names     bool     // Names answers otherwise
	Succeeded bool     // a container is there to take this one's place
}

// HandOver is told that a container is about to end, or has. The ports that others wait for become theirs, in one step
// as seen from outside, and its names are answered for by others if there are any. After an error the ports are still
// where they were, or it is only not recorded yet where they are. A container without a sandbox is not an error.
func (m *Manager) HandOver(containerID string) (Handover, error) {
	m.handing.Lock()
	defer m.handing.Unlock()
	return m.handOver(containerID)
}

// handOver is HandOver for a caller that holds m.handing.
func (m *Manager) handOver(containerID string) (Handover, error) {
	m.mu.Lock()
	c := m.containers[containerID]
	if c == nil {
		m.mu.Unlock()
		return Handover{}, nil
	}
	var h Handover
	if !c.Leaving {
		c.Leaving = true
		h.Names = c.hasStandIn()
		h.Succeeded = m.successor(c)
	}
	heirs := m.heirs(c)
	m.mu.Unlock()
	ids, err := m.give(c, heirs)
	h.Ports = ids
	return h, err
}

// Claim gives a container the ports that it waits for if who has them is about to end. It returns what HandOver does.
func (m *Manager) Claim(containerID string) ([]string, error) {
	m.handing.Lock()
	defer m.handing.Unlock()
	m.mu.Lock()
	c := m.containers[containerID]
	holder := m.leavingHolder(c)
	m.mu.Unlock()
	if holder == nil {
		return nil, nil
	}
	return m.give(holder, []*container{c})
}

// leavingHolder returns the container that has what c waits for, if it is about to end. The caller holds the lock.
func (m *Manager) leavingHolder(c *container) *container {
	if c == nil {
		return nil
	}
	for _, p := range c.Ports {
		if holder := m.containers[p.Waits]; p.Waits != "" && holder != nil && holder.Leaving {
			return holder
		}
	}
	return nil
}

// successor tells whether a container is there to take the place of c. The caller holds the lock.
func (m *Manager) successor(c *container) bool {
	for _, other := range m.containers {
		if other != c && !other.Leaving && other.replaces(c) {
			return true
		}
	}
	return false
}

// heirs are the containers that wait for ports of c, the oldest first. The caller holds the lock.
func (m *Manager) heirs(c *container) []*container {
	var heirs []*container
	for _, other := range m.containers {
		if slices.ContainsFunc(other.Ports, func(p *published) bool { return p.Waits == c.ID }) {
			heirs = append(heirs, other)
		}
	}
	slices.SortFunc(heirs, func(a, b *container) int { return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.ID, b.ID)) })
	return heirs
}

// give moves the ports that the heirs wait for from c to them. The records follow, the heirs' first: with one of those it
// is decided, because a later container's record is believed rather than an earlier one's.
func (m *Manager) give(c *container, heirs []*container) ([]string, error) {
	if len(heirs) == 0 {
		return nil, nil
	}
	all := append(slices.Clone(heirs), c)
	var ids []string
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	m.mu.Lock()
	before, datagrams := elementsOf(all), []uint16(nil)
	var undo []func()
	for _, heir := range heirs {
		undo = append(undo, m.take(heir, c, &datagrams))
	}
	after := elementsOf(all)
	m.mu.Unlock()
	if err := m.swap(before, after); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, u := range undo {
			u()
		}
		return ids, err
	}
	err := m.links.ForgetDatagrams(datagrams)
	for _, one := range all {
		err = errors.Join(err, m.saveContainer(one))
	}
	return ids, err
}

// take makes the ports that heir waits for its own, and adds those without connections to datagrams. It returns how to
// take that back as long as nothing else has happened. The caller holds the lock.
func (m *Manager) take(heir, from *container, datagrams *[]uint16) (undo func()) {
	had := from.Ports
	var taken []*published
	for _, p := range heir.Ports {
		if p.Waits != from.ID {
			continue
		}
		from.Ports = slices.DeleteFunc(slices.Clone(from.Ports), func(o *published) bool {
			given := o.Waits == "" && o.Reservation.overlaps(p.Reservation)
			if given {
				m.ports.free(o.Reservation, from)
			}
			return given
		})
		m.own(heir, p)
		taken = append(taken, p)
		if p.Proto == "udp" {
			*datagrams = append(*datagrams, p.Reservation.Port)
		}
	}
	return func() {
		for _, p := range taken {
			m.ports.free(p.Reservation, heir)
			p.Waits = from.ID
		}
		if m.containers[from.ID] != from {
			return
		}
		for _, p := range had {
			if p.Waits == "" && !slices.Contains(from.Ports, p) {
				m.ports.hold(p.Reservation, from)
			}
		}
		from.Ports = had
	}
}

// own makes a port that c waited for its own.
func (m *Manager) own(c *container, p *published) {
	p.Waits = ""
	m.ports.hold(p.Reservation, c)
}

// inherit gives ports that are waited for to those who wait, if nobody has them any more or who has them is about to end.
// It returns whose ports changed. The caller holds the lock and brings the firewall up to date.
func (m *Manager) inherit() (changed []*container) {
	for _, c := range m.containers {
		for holder := m.leavingHolder(c); holder != nil; holder = m.leavingHolder(c) {
			m.take(c, holder, new([]uint16))
			changed = append(changed, holder, c)
		}
		for _, p := range c.Ports {
			if p.Waits != "" && m.ports.holder(p.Reservation) == nil {
				m.own(c, p)
				changed = append(changed, c)
			}
		}
	}
	return changed
}

// succeed gives those who wait what nobody has any more because it could not be handed over.
func (m *Manager) succeed() error {
	m.mu.Lock()
	heirs := m.inherit()
	elements := elementsOf(heirs)
	m.mu.Unlock()
	err := m.swap(nft.Elements{}, elements)
	for _, c := range heirs {
		err = errors.Join(err, m.saveContainer(c))
	}
	return err
}

func elementsOf(containers []*container) nft.Elements {
	var all nft.Elements
	for _, c := range containers {
		all.Ports = append(all.Ports, c.elements().Ports...)
	}
	return all
}

// Quiet reports whether nobody is connected to a TCP server in the network namespace, or about to be. Who is in it itself
// does not count. ErrNotFound: there is no such namespace any more.
func (m *Manager) Quiet(netns string) (bool, error) {
	c, err := m.links.Connections(netns)
	if errors.Is(err, os.ErrNotExist) {
		return false, engine.Errorf(engine.ErrNotFound, "no network namespace %s", netns)
	}
	return err == nil && c.Waiting == 0 && c.Open == 0, err
}

// Ready is told that a container is healthy. It reports whether Names answers otherwise since.
func (m *Manager) Ready(containerID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.containers[containerID]
	changed := c != nil && c.Unready
	if changed {
		c.Unready = false
	}
	return changed
}

// Reserved returns the host ports that the container has now, and reports whether it has a sandbox.
func (m *Manager) Reserved(containerID string) ([]Reservation, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.containers[containerID]
	if c == nil {
		return nil, false
	}
	return c.reserved(), true
}

// reserved are the host ports that the container has. The caller holds the lock.
func (c *container) reserved() []Reservation {
	var list []Reservation
	for _, p := range c.Ports {
		if p.Waits == "" {
			list = append(list, p.Reservation)
		}
	}
	return list
}
