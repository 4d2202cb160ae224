package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/docker/docker/api/types/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// mounts makes the sources of the container's mounts and returns the mounts themselves.
func (a *attempt) mounts() ([]specs.Mount, error) {
	e, r := a.engine, &a.record
	e.volumeMu.RLock()
	defer e.volumeMu.RUnlock()
	if err := e.makeVolumes(r); err != nil {
		return nil, err
	}
	e.volumeUse.begin(r)
	a.onFailure(func() error { return e.releaseVolumes(r) })
	var all []specs.Mount
	for _, m := range r.Mounts {
		var resolved specs.Mount
		var err error
		switch m.Type {
		case mount.TypeVolume:
			resolved, err = a.volumeMount(m)
		case mount.TypeBind:
			resolved, err = bindMount(m)
		default:
			resolved = tmpfsMount(m)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, resolved)
	}
	shared, err := a.sharedMemory()
	if err != nil {
		return nil, err
	}
	return append(append(all, shared...), a.fileMounts()...), nil
}

func (a *attempt) volumeMount(m container.Mount) (specs.Mount, error) {
	volumes := a.engine.volumes
	source, err := volumes.Path(m.Name)
	if err != nil {
		return specs.Mount{}, err
	}
	if !m.NoCopy && m.Subpath == "" {
		if err := volumes.CopyUp(m.Name, a.lower, m.Destination); err != nil {
			return specs.Mount{}, fmt.Errorf("cannot fill volume %s from the image: %w", m.Name, fullDisk(err))
		}
	}
	if m.Subpath != "" {
		dir, err := volumes.Subpath(m.Name, m.Subpath)
		if err != nil {
			return specs.Mount{}, err
		}
		defer dir.Close()
		// Only a path of its own mount namespace can be bound by the shim. That it still leads to this directory is
		// checked once it is mounted; see checkSubpaths.
		if source, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))); err != nil {
			return specs.Mount{}, err
		}
	}
	return specs.Mount{Type: "bind", Source: source, Destination: m.Destination, Options: bindOptions(m)}, nil
}

func bindMount(m container.Mount) (specs.Mount, error) {
	_, err := os.Stat(m.Source)
	if errors.Is(err, os.ErrNotExist) && m.CreateSource {
		err = os.MkdirAll(m.Source, 0o755)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return specs.Mount{}, engine.Errorf(engine.ErrInvalid, "cannot mount %s: bind source path does not exist: %s", m.Destination, m.Source)
	case err != nil:
		return specs.Mount{}, fmt.Errorf("cannot mount %s: %w", m.Destination, err)
	}
	return specs.Mount{Type: "bind", Source: m.Source, Destination: m.Destination, Options: bindOptions(m)}, nil
}

func bindOptions(m container.Mount) []string {
	options := []string{"rbind"}
	if m.NonRecursive {
		options[0] = "bind"
	}
	switch {
	case !m.ReadOnly:
		options = append(options, "rw")
	case m.ShallowRO || m.NonRecursive || !recursiveReadOnly():
		options = append(options, "ro")
	default:
		options = append(options, "rro")
	}
	propagation := m.Propagation
	if propagation == "" {
		propagation = mount.PropagationRPrivate
	}
	return append(options, string(propagation))
}

// recursiveReadOnly reports whether the kernel can make a mount read-only with all mounts below it (Linux 5.12).
var recursiveReadOnly = sync.OnceValue(func() bool {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{})
	return !errors.Is(err, unix.ENOSYS)
})

func tmpfsMount(m container.Mount) specs.Mount {
	options := []string{"noexec", "nosuid", "nodev", "rprivate"}
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if o := m.TmpfsOptions; o != nil {
		if o.SizeBytes > 0 {
			options = append(options, "size="+strconv.FormatInt(o.SizeBytes, 10))
		}
		if o.Mode != 0 {
			options = append(options, fmt.Sprintf("mode=%o", o.Mode.Perm()|stickyBits(o.Mode)))
		}
		for _, pair := range o.Options {
			option := pair[0]
			if len(pair) > 1 {
				option += "=" + pair[1]
			}
			options = append(options, option)
		}
	}
	return specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: m.Destination, Options: options}
}

// stickyBits are the set-ID and sticky bits, which Docker's clients send as plain octal digits.
func stickyBits(mode os.FileMode) os.FileMode { return mode & 0o7000 }

// sharedMemory gives containers that share an IPC namespace one /dev/shm: a directory of the run directory, which is
// memory as well.
func (a *attempt) sharedMemory() ([]specs.Mount, error) {
	r, owner := &a.record, ""
	switch {
	case r.Host.IpcMode.IsShareable():
		owner = r.ID
	case r.Host.IpcMode.IsContainer():
		other, err := a.engine.record(r.Host.IpcMode.Container())
		if err != nil {
			return nil, err
		}
		if !other.Host.IpcMode.IsShareable() {
			return nil, engine.Errorf(engine.ErrConflict, "cannot join the IPC of container %s: its ipc mode is not shareable", other.Name)
		}
		owner = other.ID
	default:
		return nil, nil
	}
	dir := a.engine.sharedMemoryDir(owner)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, os.ModeSticky|0o777); err != nil {
		return nil, err
	}
	return []specs.Mount{{Type: "bind", Source: dir, Destination: "/dev/shm", Options: []string{"bind", "rw", "nosuid", "nodev", "noexec", "rprivate"}}}, nil
}

func (e *Engine) sharedMemoryDir(id string) string { return filepath.Join(e.opts.Run, "shm", id) }

// checkSubpaths makes sure that what was mounted for a volume's subpath is what the subpath names: somebody who writes
// to the volume could have put a symbolic link in its place meanwhile.
func (a *attempt) checkSubpaths() error {
	for _, m := range a.record.Mounts {
		if m.Type != mount.TypeVolume || m.Subpath == "" {
			continue
		}
		if err := a.checkSubpath(m); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) checkSubpath(m container.Mount) error {
	wanted, err := a.engine.volumes.Subpath(m.Name, m.Subpath)
	if err != nil {
		return err
	}
	defer wanted.Close()
	root, err := a.engine.processRoot(a.record.ID)
	if err != nil {
		return err
	}
	defer root.Close()
	mounted, err := files.Open(root, m.Destination)
	if err != nil {
		return err
	}
	defer mounted.Close()
	a1, err1 := wanted.Stat()
	a2, err2 := mounted.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !os.SameFile(a1, a2) {
		return engine.Errorf(engine.ErrConflict, "cannot mount %s: the subpath %s of volume %s was replaced meanwhile", m.Destination, m.Subpath, m.Name)
	}
	return nil
}
