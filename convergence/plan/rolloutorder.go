package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
)

// order is that of the update for the member, and why it is not the one that was asked for. Two containers run at the same
// time only if they need nothing that there is once.
func (u *up) order(s *service, m *member) (order desired.Order, why string) {
	if s.Update.Order != desired.StartFirst || !m.before.Running {
		return desired.StopFirst, ""
	}
	mode := m.Config.Host.NetworkMode
	switch {
	case mode.IsHost():
		why = "its containers use the network of the host"
	case mode.IsContainer():
		why = "its containers use the network of others"
	case u.isShared(s):
		why = "others use the namespaces or volumes of its containers"
	case fixedAddress(m):
		why = "its containers have a fixed address"
	case u.options.Handover:
	default:
		if port := m.portInTheWay(len(s.Containers)); port != "" {
			why = "this engine gives port " + port + " of the host to one container at a time"
		}
	}
	if why != "" {
		return desired.StopFirst, why
	}
	return desired.StartFirst, ""
}

// isShared says that containers of other services use namespaces or volumes of this one's.
func (u *up) isShared(s *service) bool {
	if u.shared == nil {
		u.shared = make(map[string]bool)
		for i := range u.desired.Services {
			for _, name := range u.desired.Services[i].Shares {
				u.shared[name] = true
			}
		}
	}
	return u.shared[s.Name]
}

// fixedAddress says that the container has an address on a network that no other one can have.
func fixedAddress(m *member) bool {
	fixed := func(e *network.EndpointSettings) bool {
		return e.MacAddress != "" || e.IPAMConfig != nil && (e.IPAMConfig.IPv4Address != "" || e.IPAMConfig.IPv6Address != "")
	}
	if m.Config.Networking != nil {
		for _, e := range m.Config.Networking.EndpointsConfig {
			if e != nil && fixed(e) {
				return true
			}
		}
	}
	return m.Config.Config.MacAddress != "" //nolint:staticcheck // older files state it there
}

// portInTheWay is a port of the host that the member wants and its old container holds, or "". In a range there is room for one
// more container if it has more ports than there are containers.
func (m *member) portInTheWay(containers int) string {
	for _, r := range hostPorts(m.Config.Host) {
		if r.last-r.first < containers {
			for _, held := range m.now.Ports {
				if n, err := strconv.Atoi(held); err == nil && r.first <= n && n <= r.last {
					return held
				}
			}
		}
	}
	return ""
}

// ports is a range of ports of the host.
type ports struct{ first, last int }

// hostPorts are the ports of the host that are stated, sorted.
func hostPorts(h *container.HostConfig) []ports {
	var out []ports
	for _, bindings := range h.PortBindings {
		for _, b := range bindings {
			from, to, isRange := strings.Cut(b.HostPort, "-")
			if !isRange {
				to = from
			}
			first, err := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			if err == nil && err2 == nil && first > 0 {
				out = append(out, ports{first, last})
			}
		}
	}
	slices.SortFunc(out, func(a, b ports) int { return a.first - b.first })
	return out
}

// movingPort is a port of the host that goes from a container of one service to that of another one, or from one replica to
// another, or "". Then stops and starts of different services wait for each other, and batches would do so in a circle.
func (u *up) movingPort(s *service) string {
	for i := range s.Containers {
		for _, port := range singlePorts(s.Containers[i].Config.Host) {
			for _, c := range u.index.holdsPort[port] {
				if c.Service != s.Name && u.services[c.Service] != nil || c.Service == s.Name && c.Number != s.Containers[i].Number {
					return port
				}
			}
		}
	}
	return u.portForOthers(s)
}

// portForOthers is a port of the host that a container of the service holds and another service wants, or "".
func (u *up) portForOthers(s *service) string {
	for _, c := range u.state.Of(s.Name) {
		for _, port := range c.Ports {
			if slices.ContainsFunc(u.wanting(port), func(name string) bool { return name != s.Name }) {
				return port
			}
		}
	}
	return ""
}

// wanting are the services of the plan that want the port of the host.
func (u *up) wanting(port string) []string {
	if u.wanted == nil {
		u.wanted = make(map[string][]string)
		for name, s := range u.services {
			for i := range s.Containers {
				for _, p := range singlePorts(s.Containers[i].Config.Host) {
					u.wanted[p] = append(u.wanted[p], name)
				}
			}
		}
	}
	return u.wanted[port]
}

// singlePorts are those of hostPorts that are no range.
func singlePorts(h *container.HostConfig) []string {
	var out []string
	for _, r := range hostPorts(h) {
		if r.first == r.last {
			out = append(out, strconv.Itoa(r.first))
		}
	}
	return out
}
