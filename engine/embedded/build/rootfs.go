package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/executor"

	"stackrun.dev/stack/engine"
)

// prepareRootfs turns the root of a step into directories that the runner can mount where nobody else sees it. The
// mounts are those directories as BuildKit knows them.
func prepareRootfs(ctx context.Context, root executor.Mount, cleanup *cleanups) (Rootfs, []mount.Mount, error) {
	mounts, err := rawMounts(ctx, root, cleanup)
	if err != nil {
		return Rootfs{}, nil, fmt.Errorf("cannot prepare the root file system: %w", err)
	}
	if len(mounts) != 1 {
		return Rootfs{}, nil, engine.Errorf(engine.ErrInternal, "cannot prepare the root file system: it has %d mounts", len(mounts))
	}
	m := mounts[0]
	switch {
	case m.Type == "bind":
		return Rootfs{Upper: m.Source, ReadOnly: m.ReadOnly()}, mounts, nil
	case m.Type == "overlay":
		if root.Readonly || m.ReadOnly() || option(m, "upperdir") == "" {
			return Rootfs{Lower: layersOf(m), ReadOnly: true}, mounts, nil
		}
		return Rootfs{Lower: strings.Split(option(m, "lowerdir"), ":"), Upper: option(m, "upperdir"), Work: option(m, "workdir")}, mounts, nil
	}
	return Rootfs{}, nil, engine.Errorf(engine.ErrInternal, "cannot prepare the root file system: a mount of type %s", m.Type)
}

// rawMounts returns what a mount is made of.
func rawMounts(ctx context.Context, m executor.Mount, cleanup *cleanups) ([]mount.Mount, error) {
	mounts, _, err := rawMountsShared(ctx, m, cleanup)
	return mounts, err
}

// rawMountsShared also says whether somebody else may write there at the same time.
func rawMountsShared(ctx context.Context, m executor.Mount, cleanup *cleanups) (mounts []mount.Mount, shared bool, err error) {
	if m.Src == nil {
		return nil, false, errors.New("it has no source")
	}
	ref, err := m.Src.Mount(ctx, m.Readonly)
	if err != nil {
		return nil, false, err
	}
	ref, shared = unshared(ref)
	mounts, release, err := ref.Mount()
	if err != nil {
		return nil, false, err
	}
	cleanup.add(release)
	return mounts, shared, nil
}

// unshared looks behind the wrapper that BuildKit puts around writable layers. The wrapper mounts an overlay in this
// process's mount namespace and hands out a bind mount of it, so that several users of one layer can share it. The
// root of a step has one user, and its mount must not be seen on the host: the runner may live in another mount
// namespace and mounts it itself. The wrapper is not exported, but what it wraps is an exported field. A wrapper that
// makes read-only is lifted as well; the caller knows from executor.Mount.
func unshared(ref executor.MountableRef) (inner executor.MountableRef, shared bool) {
	for {
		v := reflect.ValueOf(ref)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			return ref, shared
		}
		field := v.Elem().FieldByName("Mountable")
		if !field.IsValid() || !field.CanInterface() {
			return ref, shared
		}
		next, ok := field.Interface().(executor.MountableRef)
		if !ok {
			return ref, shared
		}
		shared = shared || v.Elem().Type().Name() == "sharableMountable"
		ref = next
	}
}

// layersOf are the directories of an overlay that is only read, the topmost first. The upper directory of a layer that
// BuildKit has not committed yet is one of them.
func layersOf(m mount.Mount) []string {
	var dirs []string
	if upper := option(m, "upperdir"); upper != "" {
		dirs = append(dirs, upper)
	}
	if lower := option(m, "lowerdir"); lower != "" {
		dirs = append(dirs, strings.Split(lower, ":")...)
	}
	return dirs
}

func option(m mount.Mount, name string) string {
	for _, o := range m.Options {
		if value, ok := strings.CutPrefix(o, name+"="); ok {
			return value
		}
	}
	return ""
}

// stubKeeper removes the empty files and directories that a runtime makes as mount points, so that they do not become
// part of the image. The root file system is mounted twice for a moment: before the step to see what is there, after
// it to remove what should not be.
type stubKeeper struct {
	dir       string
	root      []mount.Mount
	mounts    []executor.Mount
	recursive bool
	clean     func()
}

// note remembers which mount points are missing.
func (s *stubKeeper) note(ctx context.Context) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	return s.mounted(func() {
		s.clean = executor.MountStubsCleaner(context.WithoutCancel(ctx), s.dir, s.mounts, s.recursive)
	})
}

// remove removes those that were made and left empty.
func (s *stubKeeper) remove() error {
	return errors.Join(s.mounted(s.clean), os.Remove(s.dir))
}

func (s *stubKeeper) mounted(do func()) error {
	if err := mount.All(s.root, s.dir); err != nil {
		return fmt.Errorf("cannot mount the root file system: %w", err)
	}
	do()
	return mount.Unmount(s.dir, 0)
}
