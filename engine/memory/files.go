package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// filesOf returns what a container sees, running or not.
func (e *Engine) filesOf(ctx context.Context, op, ref string) (*vfs, error) {
	var files *vfs
	err := e.locked(ctx, op, ref, func(c *ctr) error {
		if files = c.files(); c.run != nil {
			files = c.run.files
		}
		return nil
	})
	return files, err
}

// noFile gives errors of the file system their kind and the container's name.
func noFile(ref, name string, err error) error {
	var known *engine.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return engine.Errorf(engine.ErrNotFound, "cannot find %s in container %s: no such file or directory", name, ref)
	case errors.Is(err, fs.ErrPermission):
		return engine.Errorf(engine.ErrForbidden, "cannot write %s in container %s: it is mounted read-only", name, ref)
	case errors.Is(err, errBusy):
		return engine.Errorf(engine.ErrConflict, "cannot replace %s in container %s: %w", name, ref, err)
	}
	return engine.Errorf(engine.ErrInvalid, "cannot use %s in container %s: %w", name, ref, err)
}

// StatPath implements engine.Archives.
func (e *Engine) StatPath(ctx context.Context, ref, name string) (container.PathStat, error) {
	files, err := e.filesOf(ctx, "StatPath", ref)
	if err != nil {
		return container.PathStat{}, err
	}
	return stat(files, ref, name)
}

func stat(files *vfs, ref, name string) (container.PathStat, error) {
	n, resolved, err := files.statLink(name, false)
	if err != nil {
		return container.PathStat{}, noFile(ref, name, err)
	}
	s := container.PathStat{Name: base(name), Size: int64(len(n.data)), Mode: n.mode, Mtime: n.modified}
	if n.mode&fs.ModeSymlink != 0 {
		if s.LinkTarget, err = files.resolve(resolved, true); err != nil {
			return s, noFile(ref, name, err)
		}
	}
	return s, nil
}

// CopyFrom implements engine.Archives.
func (e *Engine) CopyFrom(ctx context.Context, ref, name string) (io.ReadCloser, container.PathStat, error) {
	files, err := e.filesOf(ctx, "CopyFrom", ref)
	if err != nil {
		return nil, container.PathStat{}, err
	}
	s, err := stat(files, ref, name)
	if err != nil {
		return nil, s, err
	}
	var content bytes.Buffer
	out := tar.NewWriter(&content)
	if err := errors.Join(files.pack(name, out), out.Close()); err != nil {
		return nil, s, noFile(ref, name, err)
	}
	return io.NopCloser(&content), s, nil
}

// CopyTo implements engine.Archives.
func (e *Engine) CopyTo(ctx context.Context, ref, name string, content io.Reader, _ container.CopyToContainerOptions) error {
	files, err := e.filesOf(ctx, "CopyTo", ref)
	if err != nil {
		return err
	}
	dir, resolved, err := files.stat(path.Clean("/" + name))
	if err != nil {
		return noFile(ref, name, err)
	}
	if !dir.mode.IsDir() {
		return engine.Errorf(engine.ErrInvalid, "cannot copy to %s in container %s: it is not a directory", name, ref)
	}
	return noFile(ref, name, files.unpack(resolved, content))
}
