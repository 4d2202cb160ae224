package embedded

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/moby/sys/user"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// StatPath implements engine.Archives.
func (e *Engine) StatPath(ctx context.Context, ref, name string) (dockercontainer.PathStat, error) {
	r, err := e.reach(ctx, ref, toLook)
	if err != nil {
		return dockercontainer.PathStat{}, err
	}
	stat, err := files.Stat(r.root, name)
	return stat, errors.Join(err, r.Close())
}

// CopyFrom implements engine.Archives.
func (e *Engine) CopyFrom(ctx context.Context, ref, name string) (io.ReadCloser, dockercontainer.PathStat, error) {
	r, err := e.reach(ctx, ref, toLook)
	if err != nil {
		return nil, dockercontainer.PathStat{}, err
	}
	stat, err := files.Stat(r.root, name)
	if err != nil {
		return nil, stat, errors.Join(err, r.Close())
	}
	e.containerEvent(&r.record, events.ActionArchivePath, "path", name)
	reader, writer := io.Pipe()
	client, stop := newTaker(ctx, writer)
	unattended := r.attend(client.client)
	go func() {
		defer stop()
		err := files.Pack(r.root, name, client)
		unattended()
		writer.CloseWithError(errors.Join(err, r.Close()))
	}()
	return reader, stat, nil
}

// CopyTo implements engine.Archives.
func (e *Engine) CopyTo(ctx context.Context, ref, name string, content io.Reader, opts dockercontainer.CopyToContainerOptions) error {
	if _, err := e.find(ref); err != nil {
		return err
	}
	archive := newSender(ctx, content, 0)
	defer archive.Close()
	plain, err := compression.DecompressStream(archive)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
	}
	defer plain.Close()
	r, err := e.reach(ctx, ref, toFill)
	if err != nil {
		return err
	}
	defer r.attend(archive.client)()
	unpack := files.UnpackOptions{ReplaceKinds: opts.AllowOverwriteDirWithFile}
	if opts.CopyUIDGID {
		unpack.Owner, err = r.owner()
	}
	if err == nil {
		e.containerEvent(&r.record, events.ActionExtractToDir, "path", name)
		err = files.Unpack(r.root, name, plain, unpack)
	}
	return errors.Join(err, r.Close())
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
