package network

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network/kernel"
)

// host is a Manager on a kernel, a firewall and a store in memory, with the containers that run on it.
type host struct {
	*Manager
	t       *testing.T
	r       *rand.Rand
	faults  *faults
	kernel  *fakeKernel
	table   *fakeTable
	store   *fakeStore
	running map[string]*Sandbox
	made    int
}

func newHost(t *testing.T, seed uint64) *host {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	f := &faults{r: rand.New(rand.NewPCG(seed, 1))}
	h := &host{t: t, r: r, faults: f, kernel: newFakeKernel(f), table: &fakeTable{faults: f, admitted: map[string]bool{}},
		store: &fakeStore{faults: f, records: map[string][]byte{}}, running: map[string]*Sandbox{}}
	h.boot()
	return h
}

// boot starts an engine, whatever the one before left.
func (h *host) boot() {
	h.t.Helper()
	m, err := open(Options{Instance: "01234567", Store: h.store}, h.kernel, h.table)
	if err != nil {
		h.t.Fatal(err)
	}
	m.ports.ephemeral = func() (uint16, uint16) { return 40000, 40009 }
	h.Manager = m
}

// one of the host's networks, or one that is not there.
func (h *host) anyNetwork() string {
	list := h.List()
	if i := h.r.IntN(len(list) + 1); i < len(list) {
		return list[i].Name
	}
	return "nowhere"
}

func (h *host) anyContainer() string {
	ids := slices.Sorted(maps.Keys(h.running))
	if len(ids) == 0 {
		return ""
	}
	return ids[h.r.IntN(len(ids))]
}

// path of a process in the container's namespace.
func path(id string) string { return "/proc/" + id + "/ns/net" }

// steps are what happens to a host. Errors are expected: for faults, for names that are taken, for networks in use.
var steps = []func(h *host) error{
	func(h *host) error { // create a network
		opts := network.CreateOptions{Internal: h.r.IntN(4) == 0}
		if n := h.r.IntN(8); n < 4 {
			opts.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: fmt.Sprintf("10.0.%d.0/29", n)}}}
		}
		_, err := h.Create(fmt.Sprintf("net%d", h.r.IntN(6)), opts)
		return err
	},
	func(h *host) error { return h.Manager.Remove(h.anyNetwork()) },
	start, start, start, replace, replace,
	func(h *host) error { // a container exits
		id := h.anyContainer()
		if id == "" {
			return nil
		}
		h.exit(id)
		return h.Release(id)
	},
	func(h *host) error {
		if id := h.anyContainer(); id != "" {
			_, err := h.Attach(id, path(id), Attachment{Network: h.anyNetwork()})
			return err
		}
		return nil
	},
	func(h *host) error {
		if id := h.anyContainer(); id != "" {
			return h.Detach(id, path(id), h.anyNetwork())
		}
		return nil
	},
	func(h *host) error { // a container is asked to end
		_, err := h.HandOver(h.anyContainer())
		return err
	},
	func(h *host) error { // one that has just started asks for what it was promised
		_, err := h.Claim(h.anyContainer())
		return err
	},
	func(h *host) error { // the engine is killed and starts again
		h.sweeper.mu.Lock()
		h.sweeper.closed = true
		h.sweeper.mu.Unlock()
		if id := h.anyContainer(); id != "" && h.r.IntN(2) == 0 {
			h.exit(id)
		}
		h.boot()
		return h.Adopt(slices.Collect(maps.Keys(h.running)))
	},
	func(h *host) error { // somebody flushes the rules
		h.table.mu.Lock()
		defer h.table.mu.Unlock()
		h.table.there, h.table.networks, h.table.ports = false, nil, nil
		return nil
	},
	func(h *host) error { // a VPN comes and goes
		h.kernel.mu.Lock()
		defer h.kernel.mu.Unlock()
		h.kernel.foreign = nil
		if h.r.IntN(2) == 0 {
			h.kernel.foreign = []kernel.Route{{Prefix: netip.MustParsePrefix("172.18.0.0/15"), Link: "tun0"}}
		}
		return nil
	},
}

func start(h *host) error {
	h.made++
	id := fmt.Sprintf("%064d", h.made)
	var attachments []Attachment
	for range h.r.IntN(3) {
		attachments = append(attachments, Attachment{Network: h.anyNetwork()})
	}
	var ports []Port
	for range h.r.IntN(3) {
		p := Port{Container: 80, Proto: "tcp"}
		if h.r.IntN(2) == 0 {
			p.First = uint16(8000 + h.r.IntN(5))
			p.Last = p.First + uint16(h.r.IntN(2))
		}
		ports = append(ports, p)
	}
	return h.launch(id, attachments, ports, SandboxOptions{})
}

// replace starts a container that takes the place of another one, with its ports and perhaps one more.
func replace(h *host) error {
	old := h.containers[h.anyContainer()]
	if old == nil {
		return nil
	}
	h.made++
	ports := []Port{{Container: 81, Proto: "tcp", First: 8000, Last: 8001}}
	for _, p := range old.Ports {
		ports = append(ports, p.Port)
	}
	return h.launch(fmt.Sprintf("%064d", h.made), []Attachment{{Network: "bridge"}}, ports[h.r.IntN(2):], SandboxOptions{TakesOver: old.ID})
}

func (h *host) launch(id string, attachments []Attachment, ports []Port, opts SandboxOptions) error {
	opts.Name = "c" + id[60:]
	s, err := h.NewSandbox(id, attachments, ports, opts)
	if err != nil {
		return err
	}
	if s.File() == nil {
		return nil // on the network host
	}
	for _, space := range h.kernel.spaces {
		if space.file == s.File() {
			space.path = path(id)
		}
	}
	h.running[id] = s
	return s.Close()
}

// exit is the end of the container's last process.
func (h *host) exit(id string) {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	if s := h.kernel.space(path(id)); s != nil {
		s.path = ""
	}
	delete(h.running, id)
}

// check compares the kernel with what containers and networks ought to have.
func (h *host) check() error {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	h.kernel.collect()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.containers) != len(h.running) {
		report("%d containers are known and %d run", len(h.containers), len(h.running))
	}
	addresses, ports, links := map[netip.Addr]string{}, 0, 0
	for id := range h.running {
		c := h.containers[id]
		if c == nil {
			report("container %s is not known", id)
			continue
		}
		space := h.kernel.space(path(id))
		var gateway netip.Addr
		if g := c.gateway(); g != nil {
			gateway = g.network.Gateway
		}
		if space.gateway != gateway {
			report("container %s: the gateway is %s, want %s", id, space.gateway, gateway)
		}
		for _, e := range c.Endpoints {
			links++
			p := h.kernel.ports[e.Host]
			if p == nil || p.bridge != e.network.link() || p.device.Address != e.Address || p.space != space {
				report("container %s: its link is %+v", id, p)
			}
			if !e.network.Subnet.Contains(e.Address.Addr()) || e.Address.Addr() == e.network.Gateway {
				report("container %s: address %s", id, e.Address)
			}
			if other, taken := addresses[e.Address.Addr()]; taken {
				report("containers %s and %s: address %s", id, other, e.Address)
			}
			addresses[e.Address.Addr()] = id
			if b, ok := h.kernel.bridges[e.network.link()]; !ok || b.Address.Addr() != e.network.Gateway {
				report("network %s: the bridge is %+v", e.network.Name, b)
			}
			if h.table.networks[e.network.link()] != e.network.rules().Networks[0] {
				report("network %s: no rules", e.network.Name)
			}
		}
		for _, p := range c.elements().Ports {
			ports++
			if h.table.ports[portKey(p)] != p {
				report("container %s: port %d leads to %v", id, p.Host, h.table.ports[portKey(p)])
			}
		}
	}
	if err := h.checkPromises(); err != nil {
		errs = append(errs, err)
	}
	if len(h.table.ports) != ports || len(h.kernel.ports) != links {
		report("%d ports and %d links, want %d and %d", len(h.table.ports), len(h.kernel.ports), ports, links)
	}
	for name := range h.kernel.bridges {
		if _, ok := h.table.networks[name]; !ok {
			report("bridge %s has no rules", name)
		}
		if !h.table.admitted[name] {
			report("bridge %s is not admitted", name)
		}
	}
	return errors.Join(errs...)
}

// checkPromises checks that who waits for a port waits for one that another one has, and nobody else waits for.
func (h *host) checkPromises() error {
	promised := map[portNumber]string{}
	for id, c := range h.containers {
		for _, p := range c.Ports {
			key := portNumber{p.Proto, p.Reservation.Port}
			holder := h.ports.onlyHolder(p.Reservation)
			switch {
			case p.Waits == "" && holder != c:
				return fmt.Errorf("container %s: port %d is %+v's", id, key.port, holder)
			case p.Waits == "":
				continue
			case holder == nil || holder.ID != p.Waits:
				return fmt.Errorf("container %s waits for port %d of container %s, and %+v has it", id, key.port, p.Waits, holder)
			case promised[key] != "":
				return fmt.Errorf("containers %s and %s wait for port %d", id, promised[key], key.port)
			}
			promised[key] = id
		}
	}
	return nil
}

// Whatever happens and whatever fails: after a repair, the kernel has what the containers that run need, every address
// and port is one container's, and when everything has ended nothing is left.
func TestManagerProperties(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		seed := rand.Uint64()
		h := newHost(t, seed)
		for step := range 60 {
			h.faults.rate = []float64{0, 0.05, 0.3}[round%3]
			i := h.r.IntN(len(steps))
			err := steps[i](h)
			h.faults.rate = 0
			if err != nil && h.faultless(round) && kindOf(err) == engine.ErrInternal {
				t.Fatalf("seed %d, step %d (%d): %v", seed, step, i, err)
			}
			if err := h.Repair(); err != nil {
				t.Fatalf("seed %d, step %d (%d): repair: %v", seed, step, i, err)
			}
			if err := h.check(); err != nil {
				t.Fatalf("seed %d, step %d (%d): %v", seed, step, i, err)
			}
		}
		if err := h.end(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Containers of several networks come and go at the same time, with ports, names and faults.
func TestConcurrentUse(t *testing.T) {
	for _, rate := range []float64{0, 0.1} {
		seed := rand.Uint64()
		h := newHost(t, seed)
		create(t, h, "front", "")
		create(t, h, "back", "10.0.1.0/24")
		h.faults.rate = rate
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				id := fmt.Sprintf("%064d", i)
				for range 20 {
					s, err := h.NewSandbox(id, []Attachment{{Network: "front"}, {Network: "back"}},
						[]Port{{Container: 80, Proto: "tcp"}}, SandboxOptions{Name: id[60:]})
					if err == nil {
						h.Names()
						h.List()
						_ = h.Detach(id, path(id), "back")
						err = errors.Join(s.Close(), h.Release(id))
					}
					if err != nil && rate == 0 {
						t.Errorf("seed %d: %v", seed, err)
					}
				}
			})
		}
		wg.Wait()
		h.faults.mu.Lock()
		h.faults.rate = 0
		h.faults.mu.Unlock()
		if err := errors.Join(h.Repair(), h.end()); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func (h *host) faultless(round int) bool { return round%3 == 0 }

// end stops and removes everything, and returns what is left.
func (h *host) end() error {
	var errs []error
	for id := range maps.Clone(h.running) {
		h.exit(id)
		errs = append(errs, h.Release(id))
	}
	for _, n := range h.List() {
		if err := h.Manager.Remove(n.Name); !errors.Is(err, engine.ErrForbidden) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, h.Close())
	h.kernel.collect()
	if len(h.kernel.bridges)+len(h.kernel.ports)+len(h.kernel.spaces) > 0 || h.table.there {
		errs = append(errs, fmt.Errorf("left: %v, %v, %v, table %t", h.kernel.bridges, h.kernel.ports, h.kernel.spaces, h.table.there))
	}
	for key := range h.store.records {
		if key != networkKey+derivedID("01234567", nameBridge) {
			errs = append(errs, fmt.Errorf("record %s is left", key))
		}
	}
	if len(h.table.admitted) > 0 {
		errs = append(errs, fmt.Errorf("admitted: %v", h.table.admitted))
	}
	if len(h.ports.held) > 0 {
		errs = append(errs, fmt.Errorf("ports are held: %v", h.ports.held))
	}
	return errors.Join(errs...)
}
