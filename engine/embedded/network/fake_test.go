package network

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"

	"stackrun.dev/stack/engine/embedded/network/kernel"
	"stackrun.dev/stack/engine/embedded/network/nft"
)

var errFault = errors.New("injected fault")

// faults makes operations fail at random.
type faults struct {
	mu   sync.Mutex
	r    *rand.Rand
	rate float64
}

func (f *faults) hit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rate > 0 && f.r.Float64() < f.rate {
		return errFault
	}
	return nil
}

// fakeKernel is a kernel in memory: the links and namespaces of a host.
type fakeKernel struct {
	*faults
	mu      sync.Mutex
	bridges map[string]kernel.Bridge
	ports   map[string]*fakePort // by the name on the host
	spaces  []*fakeSpace
	foreign []kernel.Route
}

type fakePort struct {
	bridge string
	device kernel.Interface
	space  *fakeSpace
}

type fakeSpace struct {
	file    *os.File
	path    string // of a process that is in it; "" if there is none
	gateway netip.Addr
}

// alive tells whether the namespace still is: the kernel takes one down that nobody is in or refers to.
func (s *fakeSpace) alive() bool { return s.path != "" || s.file.Fd() != ^uintptr(0) }

func newFakeKernel(f *faults) *fakeKernel {
	return &fakeKernel{faults: f, bridges: map[string]kernel.Bridge{}, ports: map[string]*fakePort{}}
}

// collect is what the kernel does by itself.
func (k *fakeKernel) collect() {
	maps.DeleteFunc(k.ports, func(_ string, p *fakePort) bool { return !p.space.alive() })
	k.spaces = slices.DeleteFunc(k.spaces, func(s *fakeSpace) bool { return !s.alive() })
}

func (k *fakeKernel) Links() ([]string, error) {
	if err := k.hit(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.collect()
	return slices.AppendSeq(slices.Collect(maps.Keys(k.bridges)), maps.Keys(k.ports)), nil
}

func (k *fakeKernel) Routes() ([]kernel.Route, error) {
	if err := k.hit(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	routes := slices.Clone(k.foreign)
	for _, b := range k.bridges {
		if b.Address.IsValid() {
			routes = append(routes, kernel.Route{Prefix: b.Address.Masked(), Link: b.Name})
		}
	}
	return routes, nil
}

func (k *fakeKernel) EnableForwarding() (bool, error) { return false, k.hit() }
func (k *fakeKernel) FiltersBridged() bool            { return true }
func (k *fakeKernel) ForgetDatagrams([]uint16) error  { return k.hit() }
func (k *fakeKernel) Connections(string) (kernel.Connections, error) {
	return kernel.Connections{}, k.hit()
}
func (k *fakeKernel) Close() error { return nil }

func (k *fakeKernel) AddBridge(b kernel.Bridge) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bridges[b.Name] = b
	return nil
}

func (k *fakeKernel) Silence(name string) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if b, ok := k.bridges[name]; ok {
		b.Address = netip.Prefix{}
		k.bridges[name] = b
	}
	return nil
}

func (k *fakeKernel) Enslave(port, bridge string) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.ports[port]; p != nil {
		p.bridge = bridge
	}
	return nil
}

func (k *fakeKernel) DeleteLinks(names ...string) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		delete(k.bridges, name)
		delete(k.ports, name)
	}
	return nil
}

func (k *fakeKernel) NewNamespace(n kernel.Namespace) (*os.File, error) {
	if err := k.hit(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	file, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	space := &fakeSpace{file: file, gateway: n.Gateway}
	for _, i := range n.Interfaces {
		if err := k.add(i, space); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	k.spaces = append(k.spaces, space)
	return file, nil
}

func (k *fakeKernel) add(i kernel.Interface, space *fakeSpace) error {
	if _, ok := k.bridges[i.Bridge]; !ok {
		return fmt.Errorf("there is no bridge %s", i.Bridge)
	}
	if k.ports[i.Host] != nil {
		return fmt.Errorf("there is a link %s", i.Host)
	}
	k.ports[i.Host] = &fakePort{i.Bridge, i, space}
	return nil
}

func (k *fakeKernel) space(path string) *fakeSpace {
	for _, s := range k.spaces {
		if s.path == path {
			return s
		}
	}
	return nil
}

func (k *fakeKernel) Plug(path string, i kernel.Interface) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.space(path)
	if s == nil {
		return os.ErrNotExist
	}
	return k.add(i, s)
}

func (k *fakeKernel) SetGateway(path string, gateway netip.Addr) error {
	if err := k.hit(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.space(path)
	if s == nil {
		return os.ErrNotExist
	}
	s.gateway = gateway
	return nil
}

// fakeTable is a firewall table in memory.
type fakeTable struct {
	*faults
	mu       sync.Mutex
	there    bool
	networks map[string]nft.Network
	ports    map[nft.Port]nft.Port
	admitted map[string]bool
}

func (t *fakeTable) Exists() (bool, error) { return t.there, nil }

// Admit ends with exactly the wanted ones admitted, of those that it was told about.
func (t *fakeTable) Admit(wanted, unwanted []string) error {
	if err := t.hit(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range unwanted {
		delete(t.admitted, b)
	}
	for _, b := range wanted {
		t.admitted[b] = true
	}
	return nil
}

func (t *fakeTable) Apply(c nft.Change) error {
	if err := t.hit(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.there {
		return nft.ErrOutOfStep
	}
	networks, ports := maps.Clone(t.networks), maps.Clone(t.ports)
	for _, n := range c.Remove.Networks {
		if networks[n.Bridge] != n {
			return nft.ErrOutOfStep
		}
		delete(networks, n.Bridge)
	}
	for _, p := range c.Remove.Ports {
		if _, ok := ports[portKey(p)]; !ok {
			return nft.ErrOutOfStep
		}
		delete(ports, portKey(p))
	}
	for _, n := range c.Add.Networks {
		networks[n.Bridge] = n
	}
	for _, p := range c.Add.Ports {
		if old, ok := ports[portKey(p)]; ok && old != p {
			return nft.ErrOutOfStep
		}
		ports[portKey(p)] = p
	}
	t.networks, t.ports = networks, ports
	return nil
}

func (t *fakeTable) Replace(all nft.Elements) error {
	if err := t.hit(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.there, t.networks, t.ports = true, map[string]nft.Network{}, map[nft.Port]nft.Port{}
	for _, n := range all.Networks {
		t.networks[n.Bridge] = n
	}
	for _, p := range all.Ports {
		t.ports[portKey(p)] = p
	}
	return nil
}

func (t *fakeTable) Delete() error {
	if err := t.hit(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.there, t.networks, t.ports = false, nil, nil
	return nil
}

// fakeStore is a Store in memory.
type fakeStore struct {
	*faults
	mu      sync.Mutex
	records map[string][]byte
}

func (s *fakeStore) Put(key string, value []byte) error {
	if err := s.hit(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key] = value
	return nil
}

func (s *fakeStore) Delete(key string) error {
	if err := s.hit(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *fakeStore) All() (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records), nil
}

func route(prefix, link string) kernel.Route {
	return kernel.Route{Prefix: netip.MustParsePrefix(prefix), Link: link}
}
