package engine

import (
	"context"

	"github.com/docker/docker/api/types/volume"
)

// Volumes keeps directories that outlive containers. The first container to mount an empty volume copies into it what
// its image has at that path, unless told not to.
type Volumes interface {
	// VolumeCreate makes the volume. With the name and the options of an existing one it returns that one.
	// ErrConflict: it exists with another driver or other options.
	VolumeCreate(ctx context.Context, opts volume.CreateOptions) (volume.Volume, error)
	VolumeList(ctx context.Context, opts volume.ListOptions) ([]volume.Volume, error)
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)

	// VolumeRemove removes the volume and what is in it. ErrConflict: a container, running or not, uses it.
	VolumeRemove(ctx context.Context, name string, force bool) error
}
