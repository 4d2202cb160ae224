package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Network is a bridge with the rules for it.
type Network struct {
	Bridge     string       // the link's name
	Subnet     netip.Prefix // its addresses
	Internal   bool         // nothing passes between it and other links
	Masquerade bool         // what leaves it for the world bears the host's address
}

// Port leads what arrives at a port of the host to a container.
type Port struct {
	HostIP netip.Addr // unspecified or the zero value for all of the host's addresses
	Host   uint16
	Proto  uint8 // unix.IPPROTO_TCP and so on
	To     netip.AddrPort
}

// Elements are what the table's sets and maps have.
type Elements struct {
	Networks []Network
	Ports    []Port
}

// Empty tells whether there are none.
func (e Elements) Empty() bool { return len(e.Networks)+len(e.Ports) == 0 }

// Change is what Apply takes out and then puts in.
type Change struct{ Remove, Add Elements }

// Table is an nftables table of the family ip. It may be used from several goroutines.
type Table struct{ name string }

// New names a table. Nothing happens in the kernel yet.
func New(name string) *Table { return &Table{name} }

// ErrOutOfStep says that the table in the kernel is not what it was left as; Replace puts it right.
var ErrOutOfStep = errors.New("the firewall table was changed by somebody else")

// Exists tells whether the table is in the kernel.
func (t *Table) Exists() (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	_, err = c.ListTableOfFamily(t.name, nftables.TableFamilyIPv4)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Apply changes elements of the table, all or none. ErrOutOfStep: what was to be removed is not there, or the table is
// not.
func (t *Table) Apply(change Change) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	l := newLayout(t.name)
	if err := l.elements(change.Remove, c.SetDeleteElements); err != nil {
		return err
	}
	if err := l.elements(change.Add, c.SetAddElements); err != nil {
		return err
	}
	err = c.Flush()
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %w", ErrOutOfStep, err)
	}
	if err != nil {
		return fmt.Errorf("change firewall table %s: %w", t.name, err)
	}
	return nil
}

// Replace makes the table anew with exactly these elements, in one step: no packet meets a state in between.
func (t *Table) Replace(all Elements) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	l := newLayout(t.name)
	c.AddTable(l.table) // so that there is one to delete
	c.DelTable(l.table)
	if err := l.create(c); err != nil {
		return err
	}
	if err := l.elements(all, c.SetAddElements); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("create firewall table %s: %w", t.name, err)
	}
	return nil
}

// Delete removes the table. One that is not there is not an error.
func (t *Table) Delete() error {
	there, err := t.Exists()
	if err != nil || !there {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.DelTable(&nftables.Table{Name: t.name, Family: nftables.TableFamilyIPv4})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete firewall table %s: %w", t.name, err)
	}
	return nil
}

// chunk is how many elements go into one message, which must not exceed 64 KiB.
const chunk = 400

// elements hands the elements to change, which adds them to or removes them from a set.
func (l *layout) elements(e Elements, change func(*nftables.Set, []nftables.SetElement) error) error {
	perSet := map[*nftables.Set][]nftables.SetElement{}
	add := func(s *nftables.Set, key []byte, value []byte) {
		perSet[s] = append(perSet[s], nftables.SetElement{Key: key, Val: value})
	}
	for _, n := range e.Networks {
		name := linkName(n.Bridge)
		add(l.bridges, name, nil)
		add(l.same, slices.Concat(name, name), nil)
		perSet[l.subnets] = append(perSet[l.subnets],
			nftables.SetElement{Key: n.Subnet.Masked().Addr().AsSlice()},
			nftables.SetElement{Key: beyond(n.Subnet), IntervalEnd: true})
		if n.Internal {
			add(l.internal, name, nil)
		}
		if n.Masquerade {
			add(l.masquerade, name, nil)
		}
	}
	for _, p := range e.Ports {
		key := slices.Concat([]byte{p.Proto, 0, 0, 0}, port(p.Host))
		value := slices.Concat(p.To.Addr().AsSlice(), port(p.To.Port()))
		if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
			add(l.publishedAt, slices.Concat(p.HostIP.AsSlice(), key), value)
		} else {
			add(l.published, key, value)
		}
	}
	for _, s := range l.sets() {
		for part := range slices.Chunk(perSet[s], chunk) {
			if err := change(s, part); err != nil {
				return fmt.Errorf("elements of %s: %w", s.Name, err)
			}
		}
	}
	return nil
}

// beyond is the first address after the subnet, which ends it in a set of ranges.
func beyond(p netip.Prefix) []byte {
	first := p.Masked().Addr().As4()
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(first[:])+1<<(32-p.Bits()))
}

// linkName is a link's name as the kernel compares it: 16 bytes, filled up with zeros.
func linkName(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// port is a port as part of a key, each of whose parts fills up 4 bytes.
func port(p uint16) []byte { return []byte{byte(p >> 8), byte(p), 0, 0} }
