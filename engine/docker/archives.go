package docker

import (
	"context"
	"errors"
	"io"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// StatPath implements engine.Archives.
func (e *Engine) StatPath(ctx context.Context, ref, path string) (container.PathStat, error) {
	stat, err := e.api.ContainerStatPath(ctx, ref, path)
	if errors.Is(err, engine.ErrNotFound) { // the answer to a HEAD request has no text
		return stat, engine.Errorf(engine.ErrNotFound, "cannot find %s in container %s, or there is no such container", path, ref)
	}
	return stat, e.failed(err)
}

// CopyFrom implements engine.Archives.
func (e *Engine) CopyFrom(ctx context.Context, ref, path string) (io.ReadCloser, container.PathStat, error) {
	content, stat, err := e.api.CopyFromContainer(ctx, ref, path)
	return content, stat, e.failed(err)
}

// CopyTo implements engine.Archives.
func (e *Engine) CopyTo(ctx context.Context, ref, path string, content io.Reader, opts container.CopyToContainerOptions) error {
	return e.failed(e.api.CopyToContainer(ctx, ref, path, content, opts))
}
