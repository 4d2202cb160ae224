package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/platforms"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Import implements engine.Images. The tar may be compressed with gzip, zstd, bzip2 or xz.
func (s *Store) Import(ctx context.Context, rootfs io.Reader, ref string, opts image.ImportOptions) (id string, err error) {
	names, err := importNames(ref, opts.Tag)
	if err != nil {
		return "", err
	}
	cfg, err := importConfig(opts)
	if err != nil {
		return "", err
	}
	ctx, release, err := s.snapshots.Hold(ctx)
	if err != nil {
		return "", engine.Errorf(engine.ErrInternal, "cannot import an image: %w", err)
	}
	defer s.release(release, &err)
	if id, err = s.importLayer(ctx, rootfs, cfg, names); err != nil {
		return "", wrap(err, "cannot import "+orElse(ref, "an image"))
	}
	return id, nil
}

func importNames(ref, tag string) ([]string, error) {
	if ref == "" {
		return nil, nil
	}
	if tag != "" {
		ref += ":" + tag
	}
	named, err := parseTag(ref)
	if err != nil {
		return nil, err
	}
	return []string{named.String()}, nil
}

func importConfig(opts image.ImportOptions) (dockerspec.DockerOCIImage, error) {
	now := time.Now().UTC()
	cfg := dockerspec.DockerOCIImage{Image: ocispec.Image{Created: &now, Platform: platforms.DefaultSpec()}}
	if opts.Platform != "" {
		p, err := platforms.Parse(opts.Platform)
		if err != nil {
			return cfg, engine.Errorf(engine.ErrInvalid, "invalid platform %q: %w", opts.Platform, err)
		}
		cfg.Platform = p
	}
	cfg.OSVersion, cfg.OSFeatures = "", nil
	cfg.RootFS.Type = "layers"
	cfg.History = []ocispec.History{{Created: &now, Comment: orElse(opts.Message, "Imported from -")}}
	return cfg, applyChanges(&cfg.Config, opts.Changes)
}

func (s *Store) importLayer(ctx context.Context, rootfs io.Reader, cfg dockerspec.DockerOCIImage, names []string) (string, error) {
	layer, err := s.writeLayer(ctx, rootfs)
	if err != nil {
		return "", err
	}
	cfg.RootFS.DiffIDs = []digest.Digest{layer.Digest}
	desc, err := s.writeImage(ctx, cfg, []ocispec.Descriptor{layer})
	if err != nil {
		return "", err
	}
	p, err := s.parse(ctx, desc)
	if err != nil {
		return "", err
	}
	return s.unpackAndKeep(ctx, p, snapshot.UnpackHooks{}, names)
}

// writeLayer stores the tar as it is when plain, so that its blob's digest and its content's are the same.
func (s *Store) writeLayer(ctx context.Context, rootfs io.Reader) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer}
	plain, err := snapshot.Decompress(ctx, rootfs)
	if err != nil {
		return desc, engine.Errorf(engine.ErrInvalid, "cannot decompress the archive: %w", err)
	}
	defer plain.Close()
	w, err := content.OpenWriter(ctx, s.snapshots.Content(), content.WithRef("import-"+rand.Text()))
	if err != nil {
		return desc, err
	}
	defer w.Close()
	if desc.Size, err = io.Copy(w, snapshot.GuardSpace(plain, s.snapshots.Root())); err != nil {
		return desc, err
	}
	desc.Digest = w.Digest()
	return desc, commit(ctx, w, desc)
}

// writeImage stores the configuration and a manifest over layers that are there.
func (s *Store) writeImage(ctx context.Context, cfg any, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	config, err := s.writeBlob(ctx, ocispec.MediaTypeImageConfig, data, nil)
	if err != nil {
		return config, err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    layers,
	}
	if data, err = json.Marshal(manifest); err != nil {
		return ocispec.Descriptor{}, err
	}
	return s.writeBlob(ctx, manifest.MediaType, data, parts{manifest: manifest}.gcLabels())
}
