// Package resolver is the name server that containers find at 127.0.0.11. It answers for the containers of the networks
// that the asking one is on, and asks the host's servers for everything else.
package resolver

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Table is what is known about networks. It may be used from several goroutines.
type Table struct {
	path string
	turn atomic.Uint32 // counts answers, so that each begins with another address

	mu   sync.RWMutex
	nets protocol.Names
}

// OpenTable reads the table from a file, which need not exist.
func OpenTable(path string) (*Table, error) {
	t := &Table{path: path, nets: protocol.Names{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &t.nets); err != nil {
		return nil, err
	}
	return t, nil
}

// Set replaces the named networks' tables and stores the result. An empty table forgets the network.
func (t *Table) Set(names protocol.Names) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.nets)
	for id, n := range names {
		if len(n.Hosts) == 0 && len(n.Reverse) == 0 {
			delete(next, id)
		} else {
			next[id] = n
		}
	}
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	t.nets = next
	tmp := filepath.Join(filepath.Dir(t.path), "."+filepath.Base(t.path))
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, t.path)
}

// Addresses finds a name in the first of the networks that knows it. The addresses come in turns.
func (t *Table) Addresses(networks []string, name string) ([]netip.Addr, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range networks {
		if addrs, ok := t.nets[id].Hosts[name]; ok {
			return rotate(addrs, t.turn.Add(1)), true
		}
	}
	return nil, false
}

func rotate(addrs []netip.Addr, by uint32) []netip.Addr {
	if len(addrs) < 2 {
		return addrs
	}
	n := int(by % uint32(len(addrs)))
	return append(append(make([]netip.Addr, 0, len(addrs)), addrs[n:]...), addrs[:n]...)
}

// Name finds the name of an address.
func (t *Table) Name(networks []string, addr netip.Addr) (string, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range networks {
		if name, ok := t.nets[id].Reverse[addr]; ok {
			return name, true
		}
	}
	return "", false
}
