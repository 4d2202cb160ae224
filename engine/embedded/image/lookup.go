package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/docker/docker/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// LookUp implements engine.Registries.
func LookUp(ctx context.Context, ref, encodedAuth string) (registry.DistributionInspect, error) {
	var d registry.DistributionInspect
	named, err := parseName(ref)
	if err != nil {
		return d, err
	}
	h, err := dial(named, encodedAuth)
	if err != nil {
		return d, err
	}
	defer h.close()
	if d, err = h.lookUp(ctx); err != nil {
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		return d, h.explain(err, "look up")
	}
	return d, nil
}

func (h *hub) lookUp(ctx context.Context) (registry.DistributionInspect, error) {
	var d registry.DistributionInspect
	_, top, err := h.resolver.Resolve(ctx, recordName(h.name))
	if err != nil {
		return d, err
	}
	d.Descriptor = ocispec.Descriptor{MediaType: top.MediaType, Digest: top.Digest, Size: top.Size}
	fetcher, err := h.resolver.Fetcher(ctx, recordName(h.name))
	if err != nil {
		return d, err
	}
	d.Platforms, err = platformsOf(ctx, fetcher, d.Descriptor)
	return d, err
}

// platformsOf reads for which platforms there are images: from an index, or from the one image's configuration.
func platformsOf(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor) ([]ocispec.Platform, error) {
	if images.IsIndexType(desc.MediaType) {
		var index ocispec.Index
		if err := readJSON(ctx, fetcher, desc, maxManifest, &index); err != nil {
			return nil, err
		}
		var out []ocispec.Platform
		for _, m := range index.Manifests {
			if m.Platform != nil {
				out = append(out, *m.Platform)
			}
		}
		return out, nil
	}
	var manifest ocispec.Manifest
	if err := readJSON(ctx, fetcher, desc, maxManifest, &manifest); err != nil || !images.IsConfigType(manifest.Config.MediaType) {
		return nil, err // what is no image has no platform
	}
	var platform ocispec.Platform
	config := ocispec.Descriptor{MediaType: manifest.Config.MediaType, Digest: manifest.Config.Digest, Size: manifest.Config.Size}
	err := readJSON(ctx, fetcher, config, maxConfig, &platform)
	return []ocispec.Platform{platform}, err
}

// readJSON fetches what the descriptor describes into memory, checks it against the digest and decodes it.
func readJSON(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor, limit int64, into any) error {
	if err := desc.Digest.Validate(); err != nil {
		return engine.Errorf(engine.ErrInvalid, "the registry answers with an invalid digest %q: %w", desc.Digest, err)
	}
	if desc.Size < 0 || desc.Size > limit {
		return engine.Errorf(engine.ErrInvalid, "%s has %d bytes where at most %d are allowed", desc.Digest, desc.Size, limit)
	}
	body, err := fetcher.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(body, desc.Size+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	if got := desc.Digest.Algorithm().FromBytes(content); got != desc.Digest {
		return engine.Errorf(engine.ErrInvalid, "the registry sends %s where %s was asked for", got, desc.Digest)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("cannot read %s: %w", desc.Digest, err)
	}
	return nil
}
