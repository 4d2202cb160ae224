package build

import (
	"context"
	"fmt"
	"maps"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/llbsolver/compat"
	"github.com/moby/buildkit/util/compression"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Layers are kept as they are: compressing them costs more than all the rest of an export, and only a push needs it.
var layerFormat = cacheconfig.RefConfig{Compression: compression.New(compression.Uncompressed)}

// export makes an image of the layer at the end of a build. The layers stay where the build has put them.
func (k *kit) export(ctx context.Context, group session.Group, sessionID string, ref cache.ImmutableRef, metadata map[string][]byte, tags []string) (string, error) {
	return k.exportSource(ctx, group, &exporter.Source{Ref: ref, Metadata: maps.Clone(metadata)}, exporter.ExportBuildInfo{SessionID: sessionID}, tags)
}

func (k *kit) exportSource(ctx context.Context, group session.Group, source *exporter.Source, info exporter.ExportBuildInfo, tags []string) (string, error) {
	ctx, release, err := k.snapshots.Hold(ctx)
	if err != nil {
		return "", engine.Errorf(engine.ErrInternal, "cannot export the image: %w", err)
	}
	defer release()
	key, err := k.settle(ctx, group, source.Ref)
	if err != nil {
		return "", err
	}
	opts := &containerimage.ImageCommitOpts{RefCfg: layerFormat}
	opts.SetOCITypesDefault(true)
	opts.SetOCIArtifactDefault(false)
	desc, err := k.writer.Commit(ctx, source, info.SessionID, info.InlineCache, opts, compat.CompatibilityVersionCurrent, "image")
	if err != nil {
		return "", fmt.Errorf("cannot write the image: %w", err)
	}
	return k.images.Keep(ctx, *desc, key, tags)
}

// settle makes sure that the layer and those below it are unpacked and that their blobs are in the content store, and
// returns the key of the layer's snapshot.
func (k *kit) settle(ctx context.Context, group session.Group, ref cache.ImmutableRef) (string, error) {
	if ref == nil {
		return "", nil
	}
	if err := ref.Extract(ctx, group); err != nil {
		return "", fmt.Errorf("cannot unpack the image: %w", err)
	}
	if err := ref.Finalize(ctx); err != nil {
		return "", fmt.Errorf("cannot finish the image's last layer: %w", err)
	}
	remotes, err := ref.GetRemotes(ctx, true, layerFormat, false, group)
	if err != nil {
		return "", fmt.Errorf("cannot pack the image's layers: %w", err)
	}
	if lazy, ok := remotes[0].Provider.(cache.Unlazier); ok {
		if err := lazy.Unlazy(ctx); err != nil {
			return "", fmt.Errorf("cannot fetch the image's layers: %w", err)
		}
	}
	return k.snapshotOf(ctx, ref)
}

// snapshotOf finds the snapshot of a cache record by the lease that keeps it: BuildKit gives each record a lease of the
// record's name.
func (k *kit) snapshotOf(ctx context.Context, ref cache.ImmutableRef) (string, error) {
	resources, err := k.worker.LeaseManager().ListResources(ctx, leases.Lease{ID: ref.ID()})
	if err != nil {
		return "", fmt.Errorf("cannot find the image's last layer: %w", err)
	}
	for _, r := range resources {
		if r.Type == "snapshots/"+snapshot.Driver {
			return r.ID, nil
		}
	}
	return "", engine.Errorf(engine.ErrInternal, "cannot find the image's last layer: cache record %s has no snapshot", ref.ID())
}
