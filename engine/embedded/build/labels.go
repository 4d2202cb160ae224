package build

import (
	"context"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
)

// plainLabels is a snapshotter that takes no orders from images: the annotations of a layer that begin with containerd's
// prefix would become labels of its snapshot, where some mean something.
type plainLabels struct{ snapshots.Snapshotter }

func (p plainLabels) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return p.Snapshotter.Prepare(ctx, key, parent, append(opts, dropLabels)...)
}

func (p plainLabels) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	return p.Snapshotter.View(ctx, key, parent, append(opts, dropLabels)...)
}

func (p plainLabels) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	return p.Snapshotter.Commit(ctx, name, key, append(opts, dropLabels)...)
}

func dropLabels(info *snapshots.Info) error {
	for key := range info.Labels {
		if strings.HasPrefix(key, "containerd.io/snapshot") {
			delete(info.Labels, key)
		}
	}
	return nil
}
