package network

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"stackrun.dev/stack/engine/embedded/network/nft"
)

// firewall is the table with what ought to be in it, so that it can be made anew when somebody else emptied it.
type firewall struct {
	table table

	mu       sync.Mutex
	stale    bool // the table is known not to be what it ought to be
	networks map[string]nft.Network
	ports    map[nft.Port]nft.Port // by what identifies them: without To
}

func newFirewall(t table) *firewall {
	return &firewall{table: t, networks: map[string]nft.Network{}, ports: map[nft.Port]nft.Port{}}
}

func portKey(p nft.Port) nft.Port {
	return nft.Port{HostIP: p.HostIP, Host: p.Host, Proto: p.Proto}
}

// change takes elements out and puts others in, in one step. Elements that are there already, or are gone already, are
// left out. After an error nothing was put in, and what could not be taken out goes with the next change.
func (f *firewall) change(c nft.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	networks, ports := maps.Clone(f.networks), maps.Clone(f.ports)
	effective := f.merge(c)
	if effective.Remove.Empty() && effective.Add.Empty() {
		return nil
	}
	err := f.apply(effective)
	if err != nil {
		f.networks, f.ports = networks, ports
		f.merge(nft.Change{Remove: c.Remove})
		f.stale = true
	}
	return err
}

// apply brings the table in step with what ought to be there.
func (f *firewall) apply(c nft.Change) error {
	err := nft.ErrOutOfStep
	if !f.stale {
		err = f.table.Apply(c)
	}
	if errors.Is(err, nft.ErrOutOfStep) {
		err = f.table.Replace(f.elements())
	}
	if err == nil {
		f.stale = false
	}
	return err
}

// merge brings what ought to be there up to date and returns what of the change is one.
func (f *firewall) merge(c nft.Change) (effective nft.Change) {
	for _, n := range c.Remove.Networks {
		if old, ok := f.networks[n.Bridge]; ok {
			delete(f.networks, n.Bridge)
			effective.Remove.Networks = append(effective.Remove.Networks, old)
		}
	}
	for _, p := range c.Remove.Ports {
		if old, ok := f.ports[portKey(p)]; ok && old == p {
			delete(f.ports, portKey(p))
			effective.Remove.Ports = append(effective.Remove.Ports, old)
		}
	}
	for _, n := range c.Add.Networks {
		if old, ok := f.networks[n.Bridge]; ok && old == n {
			continue
		} else if ok {
			effective.Remove.Networks = append(effective.Remove.Networks, old)
		}
		f.networks[n.Bridge] = n
		effective.Add.Networks = append(effective.Add.Networks, n)
	}
	for _, p := range c.Add.Ports {
		if old, ok := f.ports[portKey(p)]; ok && old == p {
			continue
		} else if ok {
			effective.Remove.Ports = append(effective.Remove.Ports, old)
		}
		f.ports[portKey(p)] = p
		effective.Add.Ports = append(effective.Add.Ports, p)
	}
	return effective
}

func (f *firewall) elements() nft.Elements {
	return nft.Elements{Networks: slices.Collect(maps.Values(f.networks)), Ports: slices.Collect(maps.Values(f.ports))}
}

// replace makes the table anew with these elements, or removes it if there are none.
func (f *firewall) replace(all nft.Elements) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.networks)
	clear(f.ports)
	f.merge(nft.Change{Add: all})
	f.stale = true
	return f.settle()
}

// trim removes the table when nothing is in it, and takes out what could not be taken out before.
func (f *firewall) trim() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settle()
}

func (f *firewall) settle() (err error) {
	switch {
	case len(f.networks)+len(f.ports) == 0:
		err = f.table.Delete()
	case f.stale:
		err = f.table.Replace(f.elements())
	}
	f.stale = err != nil
	return err
}
