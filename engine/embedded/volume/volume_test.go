package volume

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/volume"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// memory is a store that can fail.
type memory struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail error
}

func (s *memory) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.m[key] = bytes.Clone(value)
	}
	return s.fail
}

func (s *memory) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		delete(s.m, key)
	}
	return s.fail
}

func (s *memory) All() (map[string][]byte, error) { return maps.Clone(s.m), nil }

func open(t testing.TB, root string, s *memory) *Manager {
	t.Helper()
	m, err := Open(root, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newManager(t testing.TB) (*Manager, *memory) {
	t.Helper()
	s := &memory{m: map[string][]byte{}}
	return open(t, filepath.Join(t.TempDir(), "volumes"), s), s
}

func create(t testing.TB, m *Manager, opts volume.CreateOptions) string {
	t.Helper()
	v, created, err := m.Create(opts)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	return v.Name
}

func pathOf(t testing.TB, m *Manager, name string) string {
	t.Helper()
	p, err := m.Path(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestLifeOfAVolume(t *testing.T) {
	m, s := newManager(t)
	opts := volume.CreateOptions{Name: "data", Labels: map[string]string{"a": "b"}}
	create(t, m, opts)
	if _, created, err := m.Create(opts); created || err != nil {
		t.Errorf("the second time: created %v, %v", created, err)
	}
	path := pathOf(t, m, "data")
	must(t, os.WriteFile(filepath.Join(path, "f"), []byte("x"), 0o600))
	if st, err := os.Stat(filepath.Dir(path)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}

	m = open(t, m.root, s) // as after a restart
	v, err := m.Inspect("data")
	if err != nil || v.Name != "data" || v.Driver != "local" || v.Scope != "local" || v.Mountpoint != path || v.Labels["a"] != "b" || v.CreatedAt == "" {
		t.Errorf("got %+v, %v", v, err)
	}
	create(t, m, volume.CreateOptions{Name: "another"})
	if l := m.List(); len(l) != 2 || l[0].Name != "another" || l[1].Name != "data" {
		t.Errorf("got %+v", l)
	}
	must(t, m.Remove("data"))
	if exists(filepath.Dir(path)) || len(s.m) != 1 || len(m.volumes) != 1 {
		t.Errorf("something is left: %v, %v", s.m, m.volumes)
	}
	for what, err := range map[string]error{
		"Remove": m.Remove("data"), "Release": m.Release("data"), "CopyUp": m.CopyUp("data", nil, "/"),
		"Path":    func() error { _, err := m.Path("data"); return err }(),
		"Inspect": func() error { _, err := m.Inspect("data"); return err }(),
	} {
		if !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "data") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if len(m.volumes) != 1 {
		t.Errorf("asking left entries: %v", m.volumes)
	}
}

func TestAnonymousVolume(t *testing.T) {
	m, _ := newManager(t)
	name := create(t, m, volume.CreateOptions{})
	v, err := m.Inspect(name)
	if _, marked := v.Labels[anonymousLabel]; len(name) != 64 || strings.Trim(name, "0123456789abcdef") != "" || err != nil || !marked {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestRefused(t *testing.T) {
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "taken", DriverOpts: map[string]string{"type": "tmpfs"}})
	for name, c := range map[string]struct {
		opts volume.CreateOptions
		kind error
	}{
		"other options":   {volume.CreateOptions{Name: "taken"}, engine.ErrConflict},
		"other driver":    {volume.CreateOptions{Name: "a", Driver: "rexray"}, engine.ErrUnsupported},
		"cluster":         {volume.CreateOptions{Name: "a", ClusterVolumeSpec: &volume.ClusterVolumeSpec{}}, engine.ErrUnsupported},
		"parent":          {volume.CreateOptions{Name: ".."}, engine.ErrInvalid},
		"path":            {volume.CreateOptions{Name: "a/b"}, engine.ErrInvalid},
		"mark":            {volume.CreateOptions{Name: removedMark + "a"}, engine.ErrInvalid},
		"long":            {volume.CreateOptions{Name: strings.Repeat("a", 256)}, engine.ErrInvalid},
		"unknown option":  {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"what": "x"}}, engine.ErrInvalid},
		"size":            {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"size": "1G"}}, engine.ErrUnsupported},
		"nfs":             {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"type": "nfs", "o": "addr=1", "device": ":/x"}}, engine.ErrUnsupported},
		"block device":    {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"type": "ext4", "device": "/dev/sda"}}, engine.ErrUnsupported},
		"relative bind":   {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"type": "none", "o": "bind", "device": "x"}}, engine.ErrInvalid},
		"read-only bind":  {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"type": "none", "o": "bind,ro", "device": "/x"}}, engine.ErrUnsupported},
		"option of tmpfs": {volume.CreateOptions{Name: "a", DriverOpts: map[string]string{"type": "tmpfs", "o": "remount"}}, engine.ErrInvalid},
	} {
		if _, _, err := m.Create(c.opts); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if l := m.List(); len(l) != 1 {
		t.Errorf("refused volumes are there: %v", l)
	}
}

func TestBindVolume(t *testing.T) {
	m, _ := newManager(t)
	host := t.TempDir()
	must(t, os.WriteFile(filepath.Join(host, "precious"), nil, 0o600))
	create(t, m, volume.CreateOptions{Name: "b", DriverOpts: map[string]string{"type": "none", "o": "bind", "device": host}})
	if p := pathOf(t, m, "b"); p != host {
		t.Errorf("got %s", p)
	}
	must(t, m.Remove("b"))
	if !exists(filepath.Join(host, "precious")) {
		t.Error("the host's directory was emptied")
	}
	create(t, m, volume.CreateOptions{Name: "gone", DriverOpts: map[string]string{"o": "bind", "device": host + "/none"}})
	if _, err := m.Path("gone"); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestTmpfsVolume(t *testing.T) {
	needsRoot(t)
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "mem", DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7,noexec"}})
	path := pathOf(t, m, "mem")
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	if again := pathOf(t, m, "mem"); again != path {
		t.Errorf("got %s", again)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if err != nil || len(mounts) != 1 || mounts[0].FSType != "tmpfs" || !strings.Contains(mounts[0].VFSOptions, "size=1024k") {
		t.Fatalf("got %+v, %v", mounts, err)
	}
	must(t, m.Release("mem"), m.Release("mem"))
	if mounted, err := mountinfo.Mounted(path); mounted || err != nil {
		t.Errorf("mounted %v, %v", mounted, err)
	}
	pathOf(t, m, "mem")
	must(t, m.Remove("mem"))
	if exists(path) {
		t.Error("the directory is left")
	}
}

func TestSubpathStaysInside(t *testing.T) {
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	dir := pathOf(t, m, "v")
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755), os.Symlink("/etc", filepath.Join(dir, "abs")),
		os.Symlink("../../..", filepath.Join(dir, "up")), os.Symlink("a", filepath.Join(dir, "in")), os.WriteFile(filepath.Join(dir, "a/f"), nil, 0o600))
	for sub, want := range map[string]error{
		"a/b": nil, "in/b": nil, "a/f": nil, "in": nil, "none": engine.ErrNotFound, "../v": engine.ErrInvalid, "/etc": engine.ErrInvalid,
		"abs": engine.ErrInvalid, "abs/passwd": engine.ErrInvalid, "up/etc": engine.ErrInvalid, "a/../../x": engine.ErrInvalid,
	} {
		f, err := m.Subpath("v", sub)
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", sub, err, want)
		}
		if f != nil {
			must(t, f.Close())
		}
	}
}

func TestRemovalFollowsNoLinks(t *testing.T) {
	m, _ := newManager(t)
	outside := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(outside, "d"), 0o755), os.WriteFile(filepath.Join(outside, "d/f"), nil, 0o600))
	create(t, m, volume.CreateOptions{Name: "v"})
	dir := pathOf(t, m, "v")
	must(t, os.MkdirAll(filepath.Join(dir, "x/y"), 0o700), os.Symlink(outside, filepath.Join(dir, "x/y/link")), os.Symlink(outside+"/d", filepath.Join(dir, "d")))
	must(t, os.Chmod(filepath.Join(dir, "x"), 0))
	must(t, m.Remove("v"))
	if !exists(filepath.Join(outside, "d/f")) || exists(dir) {
		t.Error("the removal left the volume, or left something of it")
	}
}

func TestRemovalEntersNoMounts(t *testing.T) {
	needsRoot(t)
	m, s := newManager(t)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600))
	create(t, m, volume.CreateOptions{Name: "v"})
	at := filepath.Join(pathOf(t, m, "v"), "mnt")
	must(t, os.Mkdir(at, 0o700), unix.Mount(outside, at, "", unix.MS_BIND, ""))
	defer func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) }()
	if err := m.Remove("v"); !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), at) {
		t.Errorf("got %v", err)
	}
	if err := removeTree(m.root, "v"); !errors.Is(err, engine.ErrConflict) { // mounted after the check
		t.Errorf("got %v", err)
	}
	if !exists(filepath.Join(outside, "precious")) || len(s.m) != 1 {
		t.Error("the removal went through a mount")
	}
}

func TestFailedRecordsChangeNothing(t *testing.T) {
	m, s := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	dir := pathOf(t, m, "v")
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	s.fail = errors.New("disk full")
	if err := m.Remove("v"); !errors.Is(err, s.fail) || !exists(filepath.Join(dir, "f")) {
		t.Errorf("got %v", err)
	}
	if _, _, err := m.Create(volume.CreateOptions{Name: "w"}); !errors.Is(err, s.fail) || exists(filepath.Join(m.root, "w")) {
		t.Errorf("got %v", err)
	}
	if l := m.List(); len(l) != 1 {
		t.Errorf("got %v", l)
	}
}

// Each state that a kill can leave is repaired by the next Open.
func TestInterruptedWorkIsRepaired(t *testing.T) {
	m, s := newManager(t)
	for _, name := range []string{"removed", "lost", "kept"} {
		create(t, m, volume.CreateOptions{Name: name})
	}
	at := func(parts ...string) string { return filepath.Join(append([]string{m.root}, parts...)...) }
	must(t,
		os.WriteFile(at("removed", dataDir, "f"), nil, 0o600), os.Rename(at("removed"), at(removedMark+"removed")), // Remove, before the record
		os.MkdirAll(at(removedMark+"half", dataDir), 0o700), // Remove, after the record
		os.MkdirAll(at("made", dataDir), 0o700),             // Create, before the record
		os.RemoveAll(at("lost")),                            // not ours, but must not stop anything
		os.MkdirAll(at("orphan", dataDir, "valuable"), 0o700),
	)
	m = open(t, m.root, s)
	var names []string
	for _, v := range m.List() {
		names = append(names, v.Name)
		if !exists(v.Mountpoint) {
			t.Errorf("%s has no directory", v.Name)
		}
	}
	if got := fmt.Sprint(names); got != "[kept lost]" || len(s.m) != 2 {
		t.Errorf("got %s, %d records", got, len(s.m))
	}
	for _, gone := range []string{removedMark + "removed", removedMark + "half", "made"} {
		if exists(at(gone)) {
			t.Errorf("%s is left", gone)
		}
	}
	if !exists(at("orphan", dataDir, "valuable")) {
		t.Error("files without a record were deleted")
	}
}

func TestConcurrentCreate(t *testing.T) {
	m, s := newManager(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 40 {
		wg.Go(func() {
			_, created, err := m.Create(volume.CreateOptions{Name: fmt.Sprint("v", i%4)})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if made != 4 || len(s.m) != 4 || len(m.List()) != 4 {
		t.Errorf("%d were made, %d stored, %d listed", made, len(s.m), len(m.List()))
	}
}
