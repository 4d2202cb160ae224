package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// deepest is how deep lists of images may be nested.
const deepest = 4

// publishImages copies the images into the artifact's repository, and adds a list of them that refers to the artifact.
func (o *OCI) publishImages(ctx context.Context, to *connection, artifact ocispec.Descriptor, p Publication) error {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Subject: &artifact, Annotations: map[string]string{versionAnnotation: p.Program},
	}
	for _, image := range p.Images {
		name, err := reference.ParseDockerRef(image)
		if err != nil {
			return err
		}
		from := o.options.dial(name)
		desc, err := from.resolve(ctx)
		if err == nil {
			err = copyImage(ctx, from, to, desc, deepest)
		}
		from.close()
		if err != nil {
			return fmt.Errorf("image %s: %w", image, err)
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	desc := ocispec.Descriptor{MediaType: index.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return to.explain(to.push(ctx, desc, text, false))
}

// copyImage copies a manifest, or a list of them, with all that it refers to: that first, because registries look whether it is
// there.
func copyImage(ctx context.Context, from, to *connection, desc ocispec.Descriptor, depth int) error {
	if depth == 0 {
		return fmt.Errorf("lists of images are nested more than %d deep", deepest)
	}
	text, err := from.read(ctx, desc, manifestLimit)
	if err != nil {
		return err
	}
	if images.IsIndexType(desc.MediaType) {
		var index ocispec.Index
		if err := json.Unmarshal(text, &index); err != nil {
			return fmt.Errorf("its index cannot be read: %w", err)
		}
		for _, m := range index.Manifests {
			if err := copyImage(ctx, from, to, m, depth-1); err != nil {
				return err
			}
		}
		return to.explain(to.push(ctx, desc, text, false))
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("its manifest cannot be read: %w", err)
	}
	fetcher, err := from.resolver.Fetcher(ctx, from.name.String())
	if err != nil {
		return err
	}
	for _, blob := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := blob.Digest.Validate(); err != nil {
			return fmt.Errorf("%q: %w", blob.Digest, err)
		}
		blob = ocispec.Descriptor{MediaType: blob.MediaType, Digest: blob.Digest, Size: blob.Size}
		open := func() (io.ReadCloser, error) { return fetcher.Fetch(ctx, blob) }
		if err := to.send(ctx, blob, false, open); err != nil {
			return to.explain(err)
		}
	}
	return to.explain(to.push(ctx, desc, text, false))
}
