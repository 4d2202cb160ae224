package network

import (
	"net/netip"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

// Store keeps the records of networks and endpoints over a restart of the engine. A Put is durable when it returns.
type Store interface {
	Put(key string, value []byte) error
	Delete(key string) error
	All() (map[string][]byte, error)
}

// Options say who a Manager is and where its records are.
type Options struct {
	// Instance names the firewall table and tells the links of engines on one host apart: 8 lower-case hex digits.
	Instance string

	// Pools are the address ranges that networks without a subnet of their own are cut from, each with the size of one
	// network: nil for Docker's, 172.17.0.0/16 to 172.31.0.0/16 and then 192.168.0.0/16 in pieces of /20.
	Pools []netip.Prefix

	Store Store
}

// Manager keeps the networks of one engine. Its methods may be called from several goroutines.
type Manager struct{}

// Open reads the records and makes the kernel agree with them: bridges and rules that vanished (a reboot, a flushed
// rule set) come back if containers need them, and what no record owns is removed. Call Adopt next.
func Open(opts Options) (*Manager, error) {
	return nil, unfinished("opening the networks")
}

// Adopt releases everything that belongs to containers that are not in ids, which are those that run.
func (m *Manager) Adopt(ids []string) error { return unfinished("adopting") }

// Repair makes the kernel agree with the records again, after something else changed it.
func (m *Manager) Repair() error { return unfinished("repairing") }

// Close gives back what no running container needs: the bridges and rules of idle networks, and the table with the
// last of them. Networks in use stay as they are. The records stay.
func (m *Manager) Close() error { return unfinished("closing") }

func unfinished(what string) error {
	return engine.Errorf(engine.ErrUnsupported, "%s is not supported yet", what)
}

// Create makes a network and returns its ID. ErrConflict: the name is taken. ErrInvalid: a bad subnet, gateway or
// option, or a subnet that overlaps another network's or one of the host's, which the message names. ErrUnsupported: a
// driver other than bridge. Nothing changes in the kernel until a container connects.
func (m *Manager) Create(name string, opts network.CreateOptions) (string, error) {
	return "", unfinished("creating a network")
}

// List returns all networks, the predefined bridge, host and none included, sorted by name.
func (m *Manager) List() []network.Inspect { return nil }

// Inspect describes the network with its connected containers. ref is a name, an ID or the beginning of one.
func (m *Manager) Inspect(ref string) (network.Inspect, error) {
	return network.Inspect{}, unfinished("inspecting a network")
}

// Remove removes the network. ErrNotFound: there is none. ErrConflict: containers are connected, which the message
// names. ErrForbidden: it is predefined.
func (m *Manager) Remove(ref string) error { return unfinished("removing a network") }

// Resolve finds a network by its ID, its name or an unambiguous beginning of its ID.
func (m *Manager) Resolve(ref string) (id, name string, err error) {
	return "", "", unfinished("finding a network")
}
