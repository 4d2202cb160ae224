package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/mount"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// stoppedTree mounts the file system of a container that does not run, with its volumes and binds, as its process would see it.
// With readOnly only volumes and binds can be written. The caller holds the container's lock.
func (e *Engine) stoppedTree(ctx context.Context, r *container.Record, readOnly bool) (*files.Tree, error) {
	if err := e.roots.released(ctx, r.ID); err != nil {
		return nil, err
	}
	lower, err := e.layers(ctx, r)
	if err != nil {
		return nil, err
	}
	parts, err := e.parts(r, lower)
	defer closeParts(parts)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the files of container %s: %w", r.Name, err)
	}
	dir := e.dir(r.ID)
	root, err := runtime.Mount(runtime.Rootfs{Lower: lower, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")})
	if err != nil {
		return nil, err
	}
	tree, err := files.Assemble(root, parts, dir, readOnly)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the files of container %s: %w", r.Name, err)
	}
	return tree, nil
}

func closeParts(parts []files.Part) {
	for _, part := range parts {
		part.Tree.Close()
	}
}

// parts opens the container's volumes and binds. What a tmpfs hides while the container runs is seen while it does not.
func (e *Engine) parts(r *container.Record, lower []string) (parts []files.Part, err error) {
	for _, m := range r.Mounts {
		if m.Type == mount.TypeTmpfs {
			continue
		}
		tree, err := e.part(m, lower)
		if err != nil {
			return parts, fmt.Errorf("cannot mount %s: %w", m.Destination, err)
		}
		parts = append(parts, files.Part{
			At: m.Destination, Tree: tree, ReadOnly: m.ReadOnly, ShallowReadOnly: m.ShallowRO || m.NonRecursive,
		})
	}
	return parts, nil
}

// part opens the tree of the mount's source. A bind whose source is not there, as long as the container does not run, is an empty directory
// that takes nothing.
func (e *Engine) part(m container.Mount, lower []string) (*os.File, error) {
	if m.Type == mount.TypeVolume && !m.NoCopy && m.Subpath == "" {
		if err := e.volumes.CopyUp(m.Name, lower, m.Destination); err != nil {
			return nil, fmt.Errorf("cannot fill volume %s from the image: %w", m.Name, fullDisk(err))
		}
	}
	source, err := e.mountSource(m)
	if m.Type == mount.TypeBind && errors.Is(err, fs.ErrNotExist) {
		return files.Nothing()
	}
	if err != nil {
		return nil, err
	}
	defer source.Close()
	return files.Clone(source, !m.NonRecursive)
}

// mountSource finds the source of a volume or bind.
func (e *Engine) mountSource(m container.Mount) (*os.File, error) {
	source := m.Source
	if m.Type == mount.TypeVolume {
		if m.Subpath != "" {
			return e.volumes.Subpath(m.Name, m.Subpath)
		}
		var err error
		if source, err = e.volumes.Path(m.Name); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0) // a pipe or a device is not opened itself
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot open %s: %w", source, err)
	}
	return os.NewFile(uintptr(fd), source), nil
}
