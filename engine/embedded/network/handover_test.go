package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine/embedded/network/nft"
)

// place starts a container on the network bridge, in place of another one unless takesOver is "".
func place(t *testing.T, h *host, id, takesOver string, ports ...Port) *Sandbox {
	t.Helper()
	s, err := h.NewSandbox(id, []Attachment{{Network: "bridge"}}, ports, SandboxOptions{Name: id, TakesOver: takesOver})
	if err != nil {
		t.Fatal(err)
	}
	h.running[id] = s
	return s
}

// on is a fixed port, or a range of them, at an address; "" for all of them.
func on(proto, ip string, first, last uint16) Port {
	p := Port{Container: 80, Proto: proto, First: first, Last: last}
	if ip != "" {
		p.HostIP = netip.MustParseAddr(ip)
	}
	return p
}

// have checks who has which ports, in the table of ports, in the records and in the firewall.
func have(t *testing.T, h *host, want map[string][]uint16) {
	t.Helper()
	elements := 0
	for id, ports := range want {
		reserved, _ := h.Reserved(id)
		var got []uint16
		for _, r := range reserved {
			got = append(got, r.Port)
			if holder := h.ports.onlyHolder(r); holder == nil || holder.ID != id {
				t.Errorf("port %d is %+v's", r.Port, holder)
			}
		}
		if slices.Sort(got); !slices.Equal(got, ports) {
			t.Errorf("container %s has the ports %v, want %v", id, got, ports)
		}
		for _, e := range h.containers[id].elements().Ports {
			elements++
			if h.table.ports[portKey(e)] != e {
				t.Errorf("port %d leads to %v", e.Host, h.table.ports[portKey(e)])
			}
		}
	}
	if len(h.table.ports) != elements {
		t.Errorf("%d ports are in the firewall, want %d", len(h.table.ports), elements)
	}
}

func TestPortsThatPass(t *testing.T) {
	for _, c := range []struct {
		name      string
		old, next []Port
		before    []uint16 // of the new one
		after     []uint16
		left      []uint16 // of the old one
	}{
		{"the same", []Port{on("tcp", "", 8080, 8080)}, []Port{on("tcp", "", 8080, 8080)}, nil, []uint16{8080}, nil},
		{"some", []Port{on("tcp", "", 1, 1), on("tcp", "", 2, 2)}, []Port{on("tcp", "", 2, 2), on("tcp", "", 3, 3)}, []uint16{3}, []uint16{2, 3}, []uint16{1}},
		{"all addresses to one", []Port{on("tcp", "", 1, 1)}, []Port{on("tcp", "127.0.0.1", 1, 1)}, nil, []uint16{1}, nil},
		{"several addresses to all", []Port{on("tcp", "127.0.0.1", 1, 1), on("tcp", "127.0.0.2", 1, 1)}, []Port{on("tcp", "", 1, 1)}, nil, []uint16{1}, nil},
		{"another address", []Port{on("tcp", "127.0.0.1", 1, 1)}, []Port{on("tcp", "127.0.0.2", 1, 1)}, []uint16{1}, []uint16{1}, []uint16{1}},
		{"another protocol", []Port{on("tcp", "", 1, 1)}, []Port{on("udp", "", 1, 1)}, []uint16{1}, []uint16{1}, []uint16{1}},
		{"a full range", []Port{on("tcp", "", 1, 2), on("tcp", "", 1, 2)}, []Port{on("tcp", "", 1, 2)}, nil, []uint16{1}, []uint16{2}},
		{"a range with room", []Port{on("tcp", "", 1, 2)}, []Port{on("tcp", "", 1, 2)}, nil, []uint16{1}, nil},
		{"another range", []Port{on("tcp", "", 1, 2)}, []Port{on("tcp", "", 2, 3)}, []uint16{2}, []uint16{2}, []uint16{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := quiet(t)
			place(t, h, "old", "", c.old...)
			place(t, h, "next", "old", c.next...)
			reserved, _ := h.Reserved("old")
			had := []uint16{}
			for _, r := range reserved {
				had = append(had, r.Port)
			}
			have(t, h, map[string][]uint16{"old": had, "next": c.before})
			for range 2 { // the second time there is nothing left to do
				if _, err := h.HandOver("old"); err != nil {
					t.Fatal(err)
				}
				have(t, h, map[string][]uint16{"old": c.left, "next": c.after})
			}
			if err := h.Release("old"); err != nil {
				t.Fatal(err)
			}
			have(t, h, map[string][]uint16{"next": c.after})
		})
	}
}

// A firewall that refuses the change leaves the port where it was, and it passes when the old container is gone.
func TestAHandOverThatFails(t *testing.T) {
	h := quiet(t)
	place(t, h, "old", "", on("tcp", "", 1, 1), on("tcp", "", 2, 2))
	place(t, h, "next", "old", on("tcp", "", 1, 1))
	h.faults.rate = 1
	if _, err := h.HandOver("old"); err == nil {
		t.Error("the error is not told")
	}
	h.faults.rate = 0
	if err := h.Repair(); err != nil {
		t.Fatal(err)
	}
	have(t, h, map[string][]uint16{"old": {1, 2}, "next": nil})
	h.faults.rate = 1
	if err := h.Release("old"); err == nil {
		t.Error("the error is not told")
	}
	h.faults.rate = 0
	if err := h.Repair(); err != nil {
		t.Fatal(err)
	}
	have(t, h, map[string][]uint16{"next": {1}})
}

// deathbed lets so many writes to the kernel and the store have an effect, and none after that: the engine is killed there.
type deathbed struct{ left, writes int }

func (d *deathbed) dead() bool {
	d.writes++
	return d.writes > d.left
}

type dyingStore struct {
	*fakeStore
	*deathbed
}

func (d dyingStore) Put(key string, value []byte) error {
	if d.dead() {
		return nil
	}
	return d.fakeStore.Put(key, value)
}

type dyingTable struct {
	*fakeTable
	*deathbed
}

func (d dyingTable) Apply(c nft.Change) error {
	if d.dead() {
		return nil
	}
	return d.fakeTable.Apply(c)
}

// The engine is killed at every write of a hand-over. The next one finds one holder: who has it is decided with the record
// of the new container.
func TestKilledAtEveryWriteOfAHandOver(t *testing.T) {
	const decided = 2 // the firewall, then the record
	for left := 0; ; left++ {
		h := quiet(t)
		place(t, h, "old", "", on("tcp", "", 1, 1), on("udp", "", 1, 1), on("tcp", "", 2, 2))
		place(t, h, "next", "old", on("tcp", "", 1, 1), on("udp", "", 1, 1), on("tcp", "", 3, 3))
		d := &deathbed{left: left}
		h.Manager.store, h.firewall.table = dyingStore{h.store, d}, dyingTable{h.table, d}
		if _, err := h.HandOver("old"); err != nil {
			t.Fatal(err)
		}
		h.boot()
		if err := h.Adopt([]string{"old", "next"}); err != nil {
			t.Fatal(err)
		}
		want := map[string][]uint16{"old": {1, 1, 2}, "next": {3}}
		if left >= decided {
			want = map[string][]uint16{"old": {2}, "next": {1, 1, 3}}
		}
		have(t, h, want)
		if t.Failed() {
			t.Fatalf("after %d writes", left)
		}
		if left >= d.writes {
			if left <= decided {
				t.Errorf("there are only %d writes", left)
			}
			return
		}
	}
}

func TestWhoAnswersForAName(t *testing.T) {
	h := quiet(t)
	create(t, h, "net", "10.0.0.0/24")
	start := func(id string, opts SandboxOptions) {
		t.Helper()
		opts.Name = id
		settings := &network.EndpointSettings{Aliases: []string{"web"}}
		if _, err := h.NewSandbox(id, []Attachment{{Network: "net", Settings: settings}}, nil, opts); err != nil {
			t.Fatal(err)
		}
	}
	id, _, err := h.Resolve("net")
	if err != nil {
		t.Fatal(err)
	}
	want := func(when string, hosts ...int) {
		t.Helper()
		var wanted []netip.Addr
		for _, n := range hosts {
			wanted = append(wanted, netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)))
		}
		names := h.Names()[id]
		if !slices.Equal(names["web"], wanted) {
			t.Errorf("%s: web is %v, want %v", when, names["web"], wanted)
		}
		if len(names["old"]) != 1 {
			t.Errorf("%s: its own name is %v", when, names["old"])
		}
	}
	start("old", SandboxOptions{})
	start("next", SandboxOptions{TakesOver: "old", Unready: true})
	want("a successor that is not healthy", 2)
	if !h.Ready("next") || h.Ready("next") {
		t.Error("becoming healthy is a change once")
	}
	want("a healthy successor", 2, 3)
	if o, err := h.HandOver("old"); err != nil || !o.Names || !o.Succeeded {
		t.Errorf("%+v, %v", o, err)
	}
	want("the old one is about to end", 3)
	if o, err := h.HandOver("next"); err != nil || o.Names || o.Succeeded {
		t.Errorf("nobody is left to answer: %+v, %v", o, err)
	}
	want("both are", 2, 3)
	start("third", SandboxOptions{TakesOver: "next", Unready: true})
	want("one that starts is better than those that end", 4)
}

func TestQuietTellsWhatWentWrong(t *testing.T) {
	h := quiet(t)
	h.faults.rate = 1
	if is, err := h.Quiet("/proc/1/ns/net"); is || !errors.Is(err, errFault) {
		t.Errorf("%t, %v", is, err)
	}
}
