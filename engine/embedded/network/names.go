package network

import (
	"net/netip"
	"slices"
	"strings"
)

// Names is what resolvers answer from: per key the lower-case names with their addresses, sorted. A key is the ID of a
// network, or of a container for the names that only this container sees (its links). See Sandbox.ResolverNetworks.
type Names map[string]map[string][]netip.Addr

// Names returns the names of all containers that have a sandbox. Containers that have just come to take another one's
// place, or are about to end, are left out where others have the name.
func (m *Manager) Names() Names {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*container
	for _, c := range m.containers {
		all = append(all, c)
	}
	return nameTable(all)
}

// nameTable is Names of these containers. Where several have a name, those are told that answer best; see standing.
func nameTable(all []*container) Names {
	names := Names{}
	for s := serving; s <= leaving; s++ {
		names.fill(hosts(all, s))
	}
	for _, c := range all {
		for _, e := range c.Endpoints {
			for _, link := range e.Settings.Links {
				target, alias, _ := strings.Cut(strings.TrimPrefix(link, "/"), ":")
				if linked := find(all, e.Network, strings.TrimPrefix(target, "/")); linked != nil {
					names.add(c.ID, target, linked.Address.Addr())
					if alias != "" {
						names.add(c.ID, strings.TrimPrefix(alias, "/"), linked.Address.Addr())
					}
				}
			}
		}
	}
	return names
}

// hosts are the names of the containers that stand so.
func hosts(all []*container, s standing) Names {
	names := Names{}
	for _, c := range all {
		if c.standing() != s {
			continue
		}
		for _, e := range c.Endpoints {
			if !e.network.resolves() {
				continue
			}
			for _, name := range e.names() {
				names.add(e.Network, name, e.Address.Addr())
			}
		}
	}
	return names
}

// fill adds the names that nobody has yet.
func (n Names) fill(more Names) {
	for key, table := range more {
		if n[key] == nil {
			n[key] = table
			continue
		}
		for name, addresses := range table {
			if n[key][name] == nil {
				n[key][name] = addresses
			}
		}
	}
}

func (n Names) add(key, name string, a netip.Addr) {
	if n[key] == nil {
		n[key] = map[string][]netip.Addr{}
	}
	name = strings.ToLower(name)
	list := n[key][name]
	if i, found := slices.BinarySearchFunc(list, a, netip.Addr.Compare); !found {
		n[key][name] = slices.Insert(list, i, a)
	}
}

// find returns the endpoint of the container of this name or ID on the network, nil if there is none.
func find(all []*container, network, target string) *endpoint {
	for _, c := range all {
		if c.Name != target && c.ID != target && shortID(c.ID) != target {
			continue
		}
		for _, e := range c.Endpoints {
			if e.Network == network {
				return e
			}
		}
	}
	return nil
}

// resolverNetworks are the keys of the name table for the container's questions.
func (c *container) resolverNetworks() []string {
	keys := []string{c.ID}
	for _, e := range c.Endpoints {
		if e.network.resolves() {
			keys = append(keys, e.Network)
		}
	}
	return keys
}

// reachesOutside is false for who is on internal networks only, or on none.
func (c *container) reachesOutside() bool {
	for _, e := range c.Endpoints {
		if !e.network.Options.Internal {
			return true
		}
	}
	return false
}

// standing is how well a container answers for a name. Of several that have it only the best ones are told.
type standing int

const (
	serving standing = iota
	unready          // takes another one's place and has not been healthy yet
	leaving          // is about to end
)

func (c *container) standing() standing {
	switch {
	case c.Leaving:
		return leaving
	case c.Unready:
		return unready
	}
	return serving
}

// hasStandIn tells whether a container that is not about to end has a name that this one has, too. The caller holds the
// lock.
func (c *container) hasStandIn() bool {
	for _, e := range c.Endpoints {
		if !e.network.resolves() {
			continue
		}
		for _, other := range e.network.endpoints {
			if other != e && !other.container.Leaving && e.sharesName(other) {
				return true
			}
		}
	}
	return false
}

// sharesName compares the names that several containers may have.
func (e *endpoint) sharesName(other *endpoint) bool {
	has := func(name string) bool {
		return slices.Contains(other.Settings.Aliases, name) || slices.Contains(other.container.Aliases, name)
	}
	return slices.ContainsFunc(e.Settings.Aliases, has) || slices.ContainsFunc(e.container.Aliases, has)
}
