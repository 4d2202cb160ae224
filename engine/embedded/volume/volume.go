// Package volume keeps directories that outlive containers.
//
// A volume is a directory below the root of the manager, or, with the options of Docker's local driver, a directory of
// the host or a tmpfs. Nothing in a volume is trusted: containers write there. Whatever is below a volume's directory
// is reached through file descriptors that no symbolic link and no ".." can lead out of it.
package volume

import (
	"github.com/docker/docker/api/types/volume"

	"os"
)

// Store keeps the volumes' records; *metadata.Bucket does.
type Store interface {
	Put(key string, value []byte) error
	Delete(key string) error
	All() (map[string][]byte, error)
}

// Manager keeps the volumes of one engine. Its methods may be called from several goroutines.
type Manager struct {
	root  string
	store Store
}

// Open makes directories and records agree and returns the manager of the volumes below root.
func Open(root string, store Store) (*Manager, error) {
	return &Manager{root: root, store: store}, nil
}

// Create makes the volume, or returns the one of that name with the same driver and options and false. An empty name
// is replaced by 64 random hexadecimal digits. ErrConflict: it exists with another driver or other options.
// ErrUnsupported: a driver or a type of file system that this engine does not have.
func (m *Manager) Create(opts volume.CreateOptions) (volume.Volume, bool, error) {
	return volume.Volume{}, false, nil
}

// List returns all volumes by name.
func (m *Manager) List() []volume.Volume { return nil }

// Inspect returns the volume. ErrNotFound: there is none.
func (m *Manager) Inspect(name string) (volume.Volume, error) { return volume.Volume{}, nil }

// Remove deletes the volume with what is in it. The caller knows that no container uses it.
func (m *Manager) Remove(name string) error { return nil }

// Path returns the directory to mount into containers. A volume of type tmpfs is mounted on the host by this call if
// it is not yet.
func (m *Manager) Path(name string) (string, error) { return "", nil }

// Release is told when no running container uses the volume: a tmpfs is unmounted.
func (m *Manager) Release(name string) error { return nil }

// Subpath opens the existing file or directory sub below the volume, which symbolic links cannot lead out of.
// The caller mounts /proc/self/fd/<n> and closes it.
func (m *Manager) Subpath(name, sub string) (*os.File, error) { return nil, nil }

// CopyUp fills an empty volume with what the image has at path. lowers are the image's overlay directories, uppermost
// first. A volume that has anything in it, or was filled before, is left alone.
func (m *Manager) CopyUp(name string, lowers []string, path string) error { return nil }
