package embedded

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/events"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/metadata"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
	"stackrun.dev/stack/engine/embedded/snapshot"
	"stackrun.dev/stack/engine/embedded/volume"
	"stackrun.dev/stack/engine/enginetest"
)

// faults makes calls fail by name.
type faults struct {
	mu   sync.Mutex
	fail map[string]error
}

func (f *faults) set(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.fail = map[string]error{}
	}
	f.fail[call] = err
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = nil
}

func (f *faults) check(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail[call]
}

// fakeRuntime keeps processes in memory. Methods that are not written here are not called by these tests.
type fakeRuntime struct {
	processes
	faults
	onEvent func(runtime.Event)

	mu      sync.Mutex
	states  map[string]runtime.State
	onStart func(id string) // called while Start runs
}

func (f *fakeRuntime) Create(_ context.Context, c runtime.Container) (int, error) {
	if err := f.check("Create"); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.states[c.ID]; there {
		return 0, engine.Errorf(engine.ErrConflict, "container %s is there already", c.ID)
	}
	f.states[c.ID] = state(c.ID, os.Getpid(), runtime.Created)
	return os.Getpid(), nil
}

func (f *fakeRuntime) Start(_ context.Context, id string) error {
	err := f.check("Start")
	f.mu.Lock()
	s := f.states[id]
	s.Status, s.StartedAt = runtime.Running, time.Now()
	if errors.As(err, new(*runtime.StartError)) {
		s.Status = runtime.Stopped
	}
	f.states[id] = s
	onStart := f.onStart
	f.mu.Unlock()
	if err == nil && onStart != nil {
		onStart(id)
	}
	return err
}

func state(id string, pid int, status runtime.Status) runtime.State {
	var s runtime.State
	s.ID, s.Pid, s.Status = id, pid, status
	return s
}

// exit ends the container's process.
func (f *fakeRuntime) exit(id string, code int) {
	f.mu.Lock()
	s := f.states[id]
	s.Status, s.Pid, s.Exit = runtime.Stopped, 0, runtime.ExitStatus{Code: code, At: time.Now()}
	f.states[id] = s
	f.mu.Unlock()
	f.onEvent(runtime.Event{Kind: runtime.Exited, ID: id, Status: s.Exit})
}

func (f *fakeRuntime) Signal(_ context.Context, id string, sig syscall.Signal, _ bool) error {
	f.mu.Lock()
	running := f.states[id].Status == runtime.Running
	f.mu.Unlock()
	if !running {
		return engine.Errorf(engine.ErrConflict, "it does not run")
	}
	if err := f.check("Signal"); err != nil {
		return err
	}
	f.exit(id, 128+int(sig))
	return nil
}

func (f *fakeRuntime) Delete(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, there := f.states[id]
	switch {
	case !there:
		return engine.Errorf(engine.ErrNotFound, "no such container")
	case s.Status == runtime.Running:
		return engine.Errorf(engine.ErrConflict, "it runs")
	}
	delete(f.states, id)
	return nil
}

func (f *fakeRuntime) Resume(context.Context, string) error {
	return engine.Errorf(engine.ErrConflict, "it is not paused")
}

func (f *fakeRuntime) SetNames(context.Context, runtime.Names) error { return f.check("SetNames") }

func (f *fakeRuntime) List(context.Context) ([]runtime.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []runtime.State
	for _, s := range f.states {
		all = append(all, s)
	}
	return all, nil
}

func (f *fakeRuntime) SetPorts(context.Context, map[string][]runtime.PortReservation) error {
	return f.check("SetPorts")
}

func (f *fakeRuntime) Close() error { return nil }

func (f *fakeRuntime) OpenProc(_, name string, flags int) (*os.File, error) {
	if err := f.check("OpenProc"); err != nil {
		return nil, err
	}
	return os.OpenFile("/proc/self/"+name, flags, 0)
}

func (f *fakeRuntime) all() map[string]runtime.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.states)
}

// fakeNetworks has the network bridge only and remembers who has a sandbox.
type fakeNetworks struct {
	networks
	faults
	held sync.Map
}

func (f *fakeNetworks) Resolve(ref string) (string, string, error) {
	if ref != "bridge" {
		return "", "", engine.Errorf(engine.ErrNotFound, "network %s not found", ref)
	}
	return "b1", "bridge", nil
}

func (f *fakeNetworks) NewSandbox(id string, _ []network.Attachment, _ []network.Port, _ network.SandboxOptions) (*network.Sandbox, error) {
	if err := f.check("NewSandbox"); err != nil {
		return nil, err
	}
	if _, twice := f.held.LoadOrStore(id, true); twice {
		return nil, errors.New("it has a sandbox already")
	}
	return &network.Sandbox{}, nil
}

func (f *fakeNetworks) Release(id string) error { f.held.Delete(id); return f.check("Release") }

func (f *fakeNetworks) Adopt(ids []string) error {
	f.held.Range(func(id, _ any) bool {
		for _, keep := range ids {
			if keep == id {
				return true
			}
		}
		f.held.Delete(id)
		return true
	})
	return nil
}

func (f *fakeNetworks) Names() network.Names {
	return network.Names{"b1": map[string][]netip.Addr{}}
}
func (f *fakeNetworks) Inspect(string) (dockernet.Inspect, error) { return dockernet.Inspect{}, nil }
func (f *fakeNetworks) Endpoints(string) (map[string]*dockernet.EndpointSettings, nat.PortMap) {
	return nil, nil
}
func (f *fakeNetworks) HandOver(string) (network.Handover, error) {
	return network.Handover{}, f.check("HandOver")
}
func (f *fakeNetworks) Ready(string) bool                             { return false }
func (f *fakeNetworks) Reserved(string) ([]network.Reservation, bool) { return nil, false }
func (f *fakeNetworks) Close() error                                  { return nil }

func (f *fakeNetworks) count() int {
	n := 0
	f.held.Range(func(any, any) bool { n++; return true })
	return n
}

// failingStore fails when it is told to.
type failingStore struct {
	container.Store
	faults
}

func (s *failingStore) Put(key string, value []byte) error {
	if err := s.check("Put"); err != nil {
		return err
	}
	return s.Store.Put(key, value)
}

// bench is an engine whose processes and networks are fakes, on real records, images and volumes.
type bench struct {
	*Engine
	runtime  *fakeRuntime
	networks *fakeNetworks
	store    *failingStore
	image    string
	dir      string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	b := &bench{dir: t.TempDir(), runtime: &fakeRuntime{states: map[string]runtime.State{}}, networks: &fakeNetworks{}}
	b.open(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	b.image = enginetest.ImportImage(t, b)
	return b
}

// open opens an engine over what is there, as after the death of the last one.
func (b *bench) open(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e := &Engine{opts: Options{Root: filepath.Join(b.dir, "root"), Run: filepath.Join(b.dir, "run")}, bus: events.New(), ready: make(chan struct{})}
	must(os.MkdirAll(filepath.Join(e.opts.Root, "containers"), 0o700))
	e.background, e.stop = context.WithCancel(context.WithoutCancel(t.Context()))
	e.names = newNamePusher(e)
	var err error
	e.records, err = metadata.Open(filepath.Join(e.opts.Root, "records.db"))
	must(err)
	b.store = &failingStore{Store: e.records.Bucket("containers")}
	e.store = b.store
	e.containers, err = container.OpenRegistry(e.store)
	must(err)
	e.volumes, err = volume.Open(filepath.Join(e.opts.Root, "volumes"), e.records.Bucket("volumes"))
	must(err)
	e.snapshots, err = snapshot.Open(filepath.Join(e.opts.Root, "images"))
	must(err)
	e.images = image.New(e.snapshots)
	e.runtime, e.networks, b.runtime.onEvent = b.runtime, b.networks, e.onEvent
	must(e.takeOver(t.Context()))
	b.Engine = e
}

// die ends the engine as kill -9 would, as far as that can be done within one process, and opens its successor.
func (b *bench) die(t *testing.T) {
	t.Helper()
	b.stop()
	b.tasks.Wait()
	b.pins.releaseAll()
	if err := errors.Join(b.snapshots.Close(), b.records.Close()); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}
