package network

import (
	"net/netip"

	"github.com/docker/go-connections/nat"
)

// Port publishes a port of a container on the host.
type Port struct {
	Container uint16
	Proto     string     // "tcp", "udp" or "sctp"
	HostIP    netip.Addr // the zero value for all addresses

	// First and Last are the range of host ports to pick from, both 0 for any free one.
	First, Last uint16
}

// ParsePorts reads the ports of a container's configuration: the bindings, and with publishAll every exposed port that
// has none. ErrInvalid names the port that makes no sense.
func ParsePorts(exposed nat.PortSet, bindings nat.PortMap, publishAll bool) ([]Port, error) {
	return nil, unfinished("publishing ports")
}

// Repick replaces a chosen host port of the container's sandbox that turned out to be taken by a foreign process, and
// returns the new one. ErrConflict: the port was not chosen, or its range has no other.
func (m *Manager) Repick(containerID string, taken Reservation) (Reservation, error) {
	return Reservation{}, unfinished("picking another port")
}
