package network

import "net/netip"

// Names is what resolvers answer from: per key the lower-case names with their addresses. A key is the ID of a network,
// or of a container for the names that only this container sees (its links). See Sandbox.ResolverNetworks.
type Names map[string]map[string][]netip.Addr

// Names returns the names of all containers that have a sandbox.
func (m *Manager) Names() Names { return nil }
