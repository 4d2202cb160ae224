package plan

import (
	"strings"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/state"
)

// restoreNetworks brings back networks that were to be made anew and could not: an engine tells only when it is to make one
// that it does not want it, and by then the old one is gone. Who was on it is put on it again.
func (b *builder) restoreNetworks(p *Plan, done map[string]bool) {
	gone := make(map[string]bool) // containers that the plan has removed
	for _, op := range p.Operations {
		if removed, ok := op.(*RemoveContainer); ok && done[removed.ID] {
			gone[removed.Container] = true
		}
	}
	for _, op := range p.Operations {
		removed, ok := op.(*RemoveNetwork)
		if !ok || removed.Made.Labels == nil || done[operationID("create", Network, removed.Name)] {
			continue
		}
		back := ""
		if done[removed.ID] {
			op := &CreateNetwork{Name: removed.Name, Options: removed.Made}
			back = b.add("create", op, Subject{Network, removed.Name}, "the new one cannot be made")
		}
		for _, op := range p.Operations {
			off, ok := op.(*DisconnectNetwork)
			if !ok || off.Network != removed.Name || off.Settings == nil || !done[off.ID] || gone[off.Container] {
				continue
			}
			on := &ConnectNetwork{Header: header(off.Service), Network: off.Network, Container: off.Container, Settings: off.Settings}
			name := strings.TrimPrefix(off.Subject.Name, removed.Name+" from ")
			b.add("connect", on, Subject{Network, removed.Name + " to " + name}, "it was on it before", nonEmpty(back)...)
		}
	}
}

// wasOn is how the container is on a network that is about to be taken away.
func wasOn(c state.Container, name string) *network.EndpointSettings {
	reported, known := c.Mutable.Endpoint(name)
	if !known {
		return &network.EndpointSettings{Aliases: []string{c.Name, c.Service}}
	}
	out := &network.EndpointSettings{Aliases: aliasesOf(reported)}
	ipv4, _ := reported.Get("IPAMConfig.IPv4Address")
	ipv6, _ := reported.Get("IPAMConfig.IPv6Address")
	if ipv4 != "" || ipv6 != "" {
		out.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: ipv4, IPv6Address: ipv6}
	}
	return out
}
