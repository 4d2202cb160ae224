package docker

import (
	"context"

	"github.com/docker/docker/api/types/volume"
)

// VolumeCreate implements engine.Volumes.
func (e *Engine) VolumeCreate(ctx context.Context, opts volume.CreateOptions) (volume.Volume, error) {
	v, err := e.api.VolumeCreate(ctx, opts)
	return v, e.failed(err)
}

// VolumeList implements engine.Volumes.
func (e *Engine) VolumeList(ctx context.Context, opts volume.ListOptions) ([]volume.Volume, error) {
	got, err := e.api.VolumeList(ctx, opts)
	if err != nil {
		return nil, e.failed(err)
	}
	list := make([]volume.Volume, 0, len(got.Volumes))
	for _, v := range got.Volumes {
		list = append(list, *v)
	}
	return sorted(list, func(v volume.Volume) string { return v.Name }), nil
}

// VolumeInspect implements engine.Volumes.
func (e *Engine) VolumeInspect(ctx context.Context, name string) (volume.Volume, error) {
	v, err := e.api.VolumeInspect(ctx, name)
	return v, e.failed(err)
}

// VolumeRemove implements engine.Volumes.
func (e *Engine) VolumeRemove(ctx context.Context, name string, force bool) error {
	return e.failed(e.api.VolumeRemove(ctx, name, force))
}
