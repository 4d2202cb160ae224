// Package volume keeps directories that outlive containers.
//
// A volume is a directory below the root of the manager, or, with the options of Docker's local driver, a directory of
// the host or a tmpfs. Nothing in a volume is trusted: containers write there. Whatever is below a volume's directory
// is reached through file descriptors that no symbolic link and no ".." can lead out of it.
package volume

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

const (
	dataDir     = "_data"     // what containers see; Docker's name for it
	fillingFile = "_filling"  // is there while CopyUp is at work
	removedMark = ".removed-" // prefix of a volume's directory while it is being deleted; no volume's name begins so
)

// Store keeps the volumes' records; *metadata.Bucket does.
type Store interface {
	Put(key string, value []byte) error
	Delete(key string) error
	All() (map[string][]byte, error)
}

// record is what is stored about a volume.
type record struct {
	Name      string
	Labels    map[string]string `json:",omitempty"`
	Options   map[string]string `json:",omitempty"`
	CreatedAt string            // RFC 3339 in UTC
}

// entry is a volume, or the place of one that is being made.
type entry struct {
	mu    sync.Mutex // held while the volume is made, filled, mounted or removed
	users int        // who hold or wait for mu; guarded by Manager.mu

	rec *record // nil if there is no such volume; written with both locks held, read with either
}

// Manager keeps the volumes of one engine. Its methods may be called from several goroutines; work on one volume does
// not wait for work on another.
type Manager struct {
	root  string // absolute, without symbolic links
	store Store

	mu      sync.Mutex
	volumes map[string]*entry
}

// Open makes directories and records agree and returns the manager of the volumes below root: a removal that was
// interrupted is finished, a directory that got no record is dropped if it is empty.
func Open(root string, store Store) (*Manager, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	m := &Manager{root: root, store: store, volumes: map[string]*entry{}}
	all, err := store.All()
	if err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	for name, value := range all {
		var r record
		if err := json.Unmarshal(value, &r); err != nil || r.Name != name || !validName(name) {
			return nil, engine.Errorf(engine.ErrInternal, "cannot open the volumes: the record of %q is damaged", name)
		}
		m.volumes[name] = &entry{rec: &r}
	}
	if err := m.reconcile(); err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	return m, nil
}

// reconcile repairs what an interrupted Create or Remove left.
func (m *Manager) reconcile() error {
	dirs, err := os.ReadDir(m.root)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if name, ok := strings.CutPrefix(d.Name(), removedMark); ok {
			if err := m.store.Delete(name); err != nil {
				return err
			}
			delete(m.volumes, name)
			if err := removeTree(m.root, d.Name()); err != nil {
				return err
			}
		} else if m.volumes[d.Name()] == nil {
			m.dropEmpty(d.Name())
		}
	}
	for name := range m.volumes {
		if err := os.MkdirAll(m.dir(name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// dropEmpty removes the directory of a volume that holds nothing. One that holds something may be all that is left of
// lost records, and stays.
func (m *Manager) dropEmpty(name string) {
	_ = os.Remove(m.dir(name))
	_ = os.Remove(filepath.Join(m.root, name))
}

// dir returns where a volume's files are, unless its options put them elsewhere.
func (m *Manager) dir(name string) string { return filepath.Join(m.root, name, dataDir) }

// lock gives the caller alone the volume of that name, whether it is there or not.
func (m *Manager) lock(name string) *entry {
	m.mu.Lock()
	e := m.volumes[name]
	if e == nil {
		e = &entry{}
		m.volumes[name] = e
	}
	e.users++
	m.mu.Unlock()
	e.mu.Lock()
	return e
}

func (m *Manager) unlock(name string, e *entry) {
	e.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.users--; e.users == 0 && e.rec == nil {
		delete(m.volumes, name)
	}
}

// set publishes that the volume is there, or with nil that it is not. The caller holds the entry.
func (m *Manager) set(e *entry, r *record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.rec = r
}

// with calls f with the volume locked. ErrNotFound: there is none.
func (m *Manager) with(name string, f func(e *entry) error) error {
	e := m.lock(name)
	defer m.unlock(name, e)
	if e.rec == nil {
		return notFound(name)
	}
	return f(e)
}

func notFound(name string) error {
	return engine.Errorf(engine.ErrNotFound, "no such volume: %s", name)
}

// List returns all volumes by name.
func (m *Manager) List() []volume.Volume {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []volume.Volume
	for _, e := range m.volumes {
		if e.rec != nil {
			list = append(list, m.describe(e.rec))
		}
	}
	slices.SortFunc(list, func(a, b volume.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Inspect returns the volume. ErrNotFound: there is none.
func (m *Manager) Inspect(name string) (volume.Volume, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.volumes[name]; e != nil && e.rec != nil {
		return m.describe(e.rec), nil
	}
	return volume.Volume{}, notFound(name)
}

func (m *Manager) describe(r *record) volume.Volume {
	return volume.Volume{
		Name: r.Name, Driver: "local", Scope: "local", Mountpoint: m.dir(r.Name),
		Labels: maps.Clone(r.Labels), Options: maps.Clone(r.Options), CreatedAt: r.CreatedAt,
	}
}

// Subpath opens the existing file or directory sub below the volume, which symbolic links cannot lead out of.
// The caller mounts /proc/self/fd/<n> and closes it. ErrInvalid: sub leaves the volume. ErrNotFound: it is not there.
func (m *Manager) Subpath(name, sub string) (*os.File, error) {
	dir, err := m.Path(name)
	if err != nil {
		return nil, err
	}
	if !filepath.IsLocal(sub) {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot open %q of volume %s: it leaves the volume", sub, name)
	}
	root, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open volume %s: %w", name, err)
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), sub, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, engine.Errorf(engine.ErrNotFound, "cannot open %q of volume %s: %w", sub, name, err)
	case errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ELOOP):
		return nil, engine.Errorf(engine.ErrInvalid, "cannot open %q of volume %s: it leaves the volume", sub, name)
	case err != nil:
		return nil, fmt.Errorf("cannot open %q of volume %s: %w", sub, name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir, sub)), nil
}
