package embedded

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"
	"github.com/moby/sys/user"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/files"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// view is a container's file system, opened to look into it. A container that does not run is locked meanwhile, since
// its file system can be mounted once only.
type view struct {
	root   *os.File
	prefix string // what of the path leads to root
	unlock func()
}

func (v view) Close() error {
	err := v.root.Close()
	v.unlock()
	return err
}

// inside is the path as root sees it.
func (v view) inside(name string) string {
	rest := strings.TrimPrefix(absolute(name), v.prefix)
	return "/" + strings.TrimPrefix(rest, "/")
}

// absolute makes the path absolute and clean, and keeps what a slash or a dot at its end mean.
func absolute(name string) string {
	clean := path.Clean("/" + name)
	switch {
	case strings.HasSuffix(name, "/."):
		return strings.TrimSuffix(clean, "/") + "/."
	case strings.HasSuffix(name, "/") && clean != "/":
		return clean + "/"
	}
	return clean
}

// look opens the part of the container's file system in which name is.
func (e *Engine) look(ctx context.Context, c *container.Container, name string) (view, error) {
	if err := c.Lock(ctx); err != nil {
		return view{}, err
	}
	record := c.Record()
	if record.State.Active() {
		defer c.Unlock()
		root, err := e.processRoot(record.ID)
		return view{root: root, unlock: func() {}}, err
	}
	root, prefix, err := e.stoppedRoot(ctx, &record, name)
	if err != nil {
		c.Unlock()
		return view{}, err
	}
	return view{root: root, prefix: prefix, unlock: c.Unlock}, nil
}

// mountAt finds the volume or bind in which the path is, which is clean; the zero value if it is in none.
func mountAt(r *container.Record, clean string) container.Mount {
	best := container.Mount{}
	for _, m := range r.Mounts {
		below := clean == m.Destination || strings.HasPrefix(clean, m.Destination+"/")
		if below && m.Type != mount.TypeTmpfs && len(m.Destination) > len(best.Destination) {
			best = m
		}
	}
	return best
}

// stoppedRoot opens the volume or bind in which name is, or the container's own root file system.
func (e *Engine) stoppedRoot(ctx context.Context, r *container.Record, name string) (*os.File, string, error) {
	if best := mountAt(r, path.Clean("/"+name)); best.Destination != "" {
		root, err := e.mountSource(best)
		return root, best.Destination, err
	}
	root, err := e.ownRoot(ctx, r, false)
	return root, "", err
}

// ownRoot mounts the root file system of a container that does not run.
func (e *Engine) ownRoot(ctx context.Context, r *container.Record, readOnly bool) (*os.File, error) {
	if err := e.roots.released(ctx, r.ID); err != nil {
		return nil, err
	}
	lower, err := e.layers(ctx, r)
	if err != nil {
		return nil, err
	}
	dir := e.dir(r.ID)
	return runtime.Mount(runtime.Rootfs{Lower: lower, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), ReadOnly: readOnly})
}

func (e *Engine) mountSource(m container.Mount) (*os.File, error) {
	if m.Type == mount.TypeBind {
		return os.Open(m.Source)
	}
	if m.Subpath != "" {
		return e.volumes.Subpath(m.Name, m.Subpath)
	}
	source, err := e.volumes.Path(m.Name)
	if err != nil {
		return nil, err
	}
	return os.Open(source)
}

// StatPath implements engine.Archives.
func (e *Engine) StatPath(ctx context.Context, ref, name string) (dockercontainer.PathStat, error) {
	c, err := e.find(ref)
	if err != nil {
		return dockercontainer.PathStat{}, err
	}
	v, err := e.look(ctx, c, name)
	if err != nil {
		return dockercontainer.PathStat{}, err
	}
	defer v.Close()
	return v.stat(name)
}

func (v view) stat(name string) (dockercontainer.PathStat, error) {
	stat, err := files.Stat(v.root, v.inside(name))
	stat.Name = path.Base(path.Clean("/" + name))
	if stat.LinkTarget != "" {
		stat.LinkTarget = path.Join("/", v.prefix, stat.LinkTarget)
	}
	return stat, err
}

// CopyFrom implements engine.Archives.
func (e *Engine) CopyFrom(ctx context.Context, ref, name string) (io.ReadCloser, dockercontainer.PathStat, error) {
	c, err := e.find(ref)
	if err != nil {
		return nil, dockercontainer.PathStat{}, err
	}
	v, err := e.look(ctx, c, name)
	if err != nil {
		return nil, dockercontainer.PathStat{}, err
	}
	stat, err := v.stat(name)
	if err != nil {
		return nil, stat, errors.Join(err, v.Close())
	}
	record := c.Record()
	e.containerEvent(&record, events.ActionArchivePath, "path", name)
	reader, writer := io.Pipe()
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		err := files.Pack(v.root, v.inside(name), writer)
		writer.CloseWithError(errors.Join(err, v.Close()))
	}()
	return reader, stat, nil
}

// CopyTo implements engine.Archives. Before its first start a container with a read-only root takes files too: configs and
// secrets come that way.
func (e *Engine) CopyTo(ctx context.Context, ref, name string, content io.Reader, opts dockercontainer.CopyToContainerOptions) error {
	c, err := e.find(ref)
	if err != nil {
		return err
	}
	plain, err := compression.DecompressStream(content)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
	}
	defer plain.Close()
	v, err := e.look(ctx, c, name)
	if err != nil {
		return err
	}
	defer v.Close()
	record := c.Record()
	if record.Host.ReadonlyRootfs && v.prefix == "" && !record.State.Active() && !record.State.StartedAt.IsZero() {
		return engine.Errorf(engine.ErrForbidden, "cannot copy to %s: the root file system of container %s is read-only", name, record.Name)
	}
	unpack := files.UnpackOptions{ReplaceKinds: opts.AllowOverwriteDirWithFile}
	if opts.CopyUIDGID && record.Config.User != "" {
		if unpack.Owner, err = owner(v.root, record.Config.User); err != nil {
			return err
		}
	}
	e.containerEvent(&record, events.ActionExtractToDir, "path", name)
	return files.Unpack(v.root, v.inside(name), interruptible{ctx, plain}, unpack)
}

// interruptible ends a copy whose caller has gone.
type interruptible struct {
	ctx    context.Context
	reader io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.reader.Read(p)
}

// owner looks the container's user up in the container.
func owner(root *os.File, name string) (*files.Owner, error) {
	passwd, group := files.OpenText(root, "/etc/passwd"), files.OpenText(root, "/etc/group")
	defer passwd.Close()
	defer group.Close()
	found, err := user.GetExecUser(name, nil, passwd, group)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot find the user %s in the container: %w", name, err)
	}
	return &files.Owner{UID: found.Uid, GID: found.Gid}, nil
}
