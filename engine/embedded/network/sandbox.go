package network

import (
	"net/netip"
	"os"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// Attachment connects a container to a network.
type Attachment struct {
	Network  string                    // name or ID
	Settings *network.EndpointSettings // aliases, links, fixed addresses, driver options, priority of the gateway; may be nil
}

// Attachments sorts a container's networks into the order of its interfaces: the one of its network mode first, the
// others by name. A network mode that is a network's name and not among the endpoints counts as one.
func Attachments(mode string, endpoints map[string]*network.EndpointSettings) []Attachment {
	return nil
}

// SandboxOptions are what a sandbox needs to know about its container beyond addresses and ports.
type SandboxOptions struct {
	Name    string   // the container's name, without a slash, for messages and name resolution
	Aliases []string // further names on every user-defined network

	// Resolver redirects port 53 of 127.0.0.11 inside the sandbox to Sandbox.ResolverPort.
	Resolver bool

	Sysctls map[string]string // net.* settings, written before any process runs in the sandbox
}

// Sandbox is a network namespace with everything its container asked for.
type Sandbox struct{}

// NewSandbox makes the network namespace of a container that is about to start, or nothing for the network host, whose
// File is nil. The attachments become eth0, eth1 and so on in their order. On an error nothing is left behind.
// ErrConflict: a port or an address is taken, by the container that the message names. ErrNotFound: no such network.
//
// A container has one sandbox: Release it before making another.
func (m *Manager) NewSandbox(containerID string, attachments []Attachment, ports []Port, opts SandboxOptions) (*Sandbox, error) {
	return nil, unfinished("making a sandbox")
}

// File is the network namespace, to be handed to the process that starts the container; nil for the network host.
func (s *Sandbox) File() *os.File { return nil }

// Close closes File. The namespace goes on as long as a process is in it.
func (s *Sandbox) Close() error { return nil }

// ResolverPort is where, inside the sandbox, a resolver must listen on 127.0.0.11 by UDP and TCP; 0 without resolver.
func (s *Sandbox) ResolverPort() uint16 { return 0 }

// ResolverNetworks are the keys of Names in which the container's names are looked up, in this order.
func (s *Sandbox) ResolverNetworks() []string { return nil }

// Endpoints are the settings of every attachment with the addresses filled in, by network ID.
func (s *Sandbox) Endpoints() map[string]*network.EndpointSettings { return nil }

// Ports are the published ports in Docker's form, with the host ports that were chosen.
func (s *Sandbox) Ports() nat.PortMap { return nil }

// Reservations are the host ports that must be held by listening sockets while the container runs.
func (s *Sandbox) Reservations() []Reservation { return nil }

// Reservation is a port of the host. An unspecified HostIP stands for all addresses.
type Reservation struct {
	HostIP netip.Addr
	Port   uint16
	Proto  string // "tcp", "udp" or "sctp"
	Chosen bool   // picked from several: Manager.Repick finds another if a foreign process has it
}
