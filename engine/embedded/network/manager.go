package network

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/ipam"
	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nft"
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

	// OpenNamespace opens a container's network namespace by what its callers name it, whenever something is done there. An error
	// that is fs.ErrNotExist says that it has gone. nil: the name is a path.
	OpenNamespace func(netns string) (*os.File, error)
}

// links is what the Manager needs of the kernel: see package kernel.
type links interface {
	Links() ([]string, error)
	Routes() ([]kernel.Route, error)
	EnableForwarding() (bool, error)
	FiltersBridged() bool
	AddBridge(kernel.Bridge) error
	Silence(name string) error
	Enslave(port, bridge string) error
	DeleteLinks(names ...string) error
	NewNamespace(kernel.Namespace) (*os.File, error)
	Plug(netns string, i kernel.Interface) error
	SetGateway(netns string, gateway netip.Addr) error
	ForgetDatagrams(ports []uint16) error
	Connections(netns string) (kernel.Connections, error)
	Close() error
}

// table is what it needs of the firewall: see package nft.
type table interface {
	Exists() (bool, error)
	Apply(nft.Change) error
	Replace(nft.Elements) error
	Delete() error
	Admit(wanted, unwanted []string) error
}

// Manager keeps the networks of one engine. Its methods may be called from several goroutines.
type Manager struct {
	pools    []netip.Prefix
	store    Store
	links    links
	firewall *firewall
	sweeper  sweeper

	admission sync.Mutex // held while the host's own rules are brought up to date
	departed  []string   // bridges that those may still mention; guarded by admission

	handing sync.Mutex // held while ports pass from one container to another; taken before mu

	mu         sync.Mutex // guards what follows and what hangs on it
	networks   map[string]*segment
	containers map[string]*container
	ports      portTable
	forgotten  map[string]bool // containers without a sandbox whose record could not be deleted yet
}

// Open reads the records. Call Adopt next, which makes the kernel agree with them.
func Open(opts Options) (*Manager, error) {
	number, err := hex.DecodeString(opts.Instance)
	if err != nil || len(number) != 4 {
		return nil, engine.Errorf(engine.ErrInvalid, "instance %q is not 8 hexadecimal digits", opts.Instance)
	}
	// Links of group 0 are everybody's, and group 1 is as good as any.
	group := max(1, uint32(number[0])<<24|uint32(number[1])<<16|uint32(number[2])<<8|uint32(number[3]))
	k, err := kernel.New(group)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open the networks: %w", err)
	}
	if opts.OpenNamespace != nil {
		k.OpenNamespace = opts.OpenNamespace
	}
	m, err := open(opts, k, nft.New("stack_"+strings.ToLower(opts.Instance)))
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return m, nil
}

func open(opts Options, l links, t table) (*Manager, error) {
	m := &Manager{
		pools: opts.Pools, store: opts.Store, links: l, firewall: newFirewall(t),
		networks: map[string]*segment{}, containers: map[string]*container{}, ports: newPortTable(),
		forgotten: map[string]bool{},
	}
	if m.pools == nil {
		m.pools = ipam.DefaultPools()
	}
	m.sweeper.sweep = m.sweep
	for _, n := range predefined(opts.Instance) {
		m.networks[n.ID] = n
	}
	if err := m.load(); err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot read the networks: %w", err)
	}
	return m, nil
}

// predefined returns the networks that are always there. They keep their IDs, which the instance determines.
func predefined(instance string) []*segment {
	var list []*segment
	for _, p := range []struct{ name, driver string }{
		{nameBridge, driverBridge}, {nameHost, driverHost}, {nameNone, driverNull},
	} {
		n := &segment{
			networkRecord: networkRecord{ID: derivedID(instance, p.name), Name: p.name, Created: time.Unix(0, 0).UTC(),
				Options: network.CreateOptions{Driver: p.driver}},
			predefined: true,
		}
		n.Auto = p.driver == driverBridge
		_ = n.complete() // has no options that could be wrong
		list = append(list, n)
	}
	return list
}

// Adopt is told which containers run. It releases everything that belongs to others and makes the kernel agree with
// the records: bridges and rules that vanished (a reboot, a flushed rule set) come back if containers need them, and
// what no record owns is removed. Ports of those that do not run go to those that wait for them.
func (m *Manager) Adopt(ids []string) error {
	running := map[string]bool{}
	for _, id := range ids {
		running[id] = true
	}
	var errs []error
	m.mu.Lock()
	var gone []*container
	for id, c := range m.containers {
		if !running[id] {
			gone = append(gone, c)
		}
	}
	for _, c := range gone {
		m.forget(c)
	}
	heirs := m.inherit()
	m.mu.Unlock()
	for _, c := range gone {
		errs = append(errs, m.unrecord(c.ID))
	}
	for _, c := range heirs {
		errs = append(errs, m.saveContainer(c))
	}
	return errors.Join(append(errs, m.Repair())...)
}

// Repair makes the kernel agree with the records again, after something else changed it.
func (m *Manager) Repair() error {
	busy := m.busy()
	for _, n := range busy {
		m.want(n, true)
	}
	errs := []error{m.firewall.replace(m.elements())} // the rules first: no bridge is without them
	for _, n := range busy {
		errs = append(errs, m.repair(n))
	}
	errs = append(errs, m.admit())
	for c, netns := range m.astray() {
		errs = append(errs, m.reroute(c, netns))
	}
	return errors.Join(append(errs, m.sweeper.now())...)
}

func (m *Manager) astray() map[*container]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[*container]string{}
	for _, c := range m.containers {
		if c.astray != "" {
			list[c] = c.astray
		}
	}
	return list
}

// busy returns the networks that containers are connected to.
func (m *Manager) busy() []*segment {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*segment
	for _, n := range m.networks {
		if len(n.endpoints) > 0 {
			list = append(list, n)
		}
	}
	return list
}

// Close gives back what no running container needs: the bridges and rules of idle networks, and the table with the
// last of them. Networks in use stay as they are. The records stay. The Manager must not be used any more.
func (m *Manager) Close() error {
	m.mu.Lock()
	var idle []*segment
	for _, n := range m.networks {
		if len(n.endpoints) == 0 {
			idle = append(idle, n)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, n := range idle {
		n.activation.Lock()
		errs = append(errs, m.deactivate(n))
		n.activation.Unlock()
	}
	errs = append(errs, m.sweeper.close(), m.links.Close())
	return errors.Join(errs...)
}
