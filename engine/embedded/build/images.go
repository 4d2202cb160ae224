package build

import (
	"context"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"stackrun.dev/stack/engine/embedded/snapshot"
)

// localImages is the image store as BuildKit sees it when it looks for the images that a Dockerfile builds on. It is
// read only: results come into the store by the exporter.
type localImages struct {
	images.Store
	snapshots *snapshot.Store
}

func (l localImages) Get(ctx context.Context, name string) (images.Image, error) {
	return l.Store.Get(l.snapshots.Context(ctx), name)
}

func (l localImages) List(ctx context.Context, filters ...string) ([]images.Image, error) {
	return l.Store.List(l.snapshots.Context(ctx), filters...)
}

func (l localImages) Create(context.Context, images.Image) (images.Image, error) {
	return images.Image{}, errdefs.ErrNotImplemented
}

func (l localImages) Update(context.Context, images.Image, ...string) (images.Image, error) {
	return images.Image{}, errdefs.ErrNotImplemented
}

func (l localImages) Delete(context.Context, string, ...images.DeleteOpt) error {
	return errdefs.ErrNotImplemented
}
