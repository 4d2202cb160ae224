package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

const (
	// maxManifest bounds manifests and indexes. 4 MiB is what registries must accept at least
	// (https://github.com/opencontainers/distribution-spec, "Pushing Manifests").
	maxManifest = 4 << 20
	// maxConfig bounds configurations.
	maxConfig = 8 << 20
	// maxDepth bounds how deep indexes may lie in indexes.
	maxDepth = 4
	// maxLayers bounds the layers of an image; overlayfs takes no more than 500.
	maxLayers = 500
)

// parts is an image taken apart and checked.
type parts struct {
	desc     ocispec.Descriptor // of the manifest
	manifest ocispec.Manifest
	config   dockerspec.DockerOCIImage
	layers   []snapshot.Layer
}

func (p parts) id() string { return p.manifest.Config.Digest.String() }

// readBlob reads a small blob that must have been written under its digest.
func (s *Store) readBlob(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "invalid digest %q: %w", desc.Digest, err)
	}
	ra, err := s.snapshots.Content().ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	if ra.Size() > limit {
		return nil, engine.Errorf(engine.ErrInvalid, "%s has %d bytes where at most %d are allowed", desc.Digest, ra.Size(), limit)
	}
	data := make([]byte, ra.Size())
	if _, err := ra.ReadAt(data, 0); err != nil && len(data) > 0 && !isEOF(err) {
		return nil, err
	}
	return data, nil
}

// writeBlob stores a small blob and labels it with what it leads to, even if it was there before.
func (s *Store) writeBlob(ctx context.Context, mediaType string, data []byte, labels map[string]string) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	store := s.snapshots.Content()
	if err := content.WriteBlob(ctx, store, "blob-"+desc.Digest.String(), bytes.NewReader(data), desc, content.WithLabels(labels)); err != nil {
		return desc, fmt.Errorf("cannot store %s: %w", desc.Digest, err)
	}
	return desc, s.label(ctx, desc.Digest, labels)
}

func (s *Store) label(ctx context.Context, dgst digest.Digest, labels map[string]string) error {
	if len(labels) == 0 {
		return nil
	}
	fields := make([]string, 0, len(labels))
	for key := range labels {
		fields = append(fields, "labels."+key)
	}
	_, err := s.snapshots.Content().Update(ctx, content.Info{Digest: dgst, Labels: labels}, fields...)
	return err
}

// choose follows indexes down to the manifest for the platform.
func (s *Store) choose(ctx context.Context, desc ocispec.Descriptor, want platforms.MatchComparer, fetch func(context.Context, ocispec.Descriptor) error) (ocispec.Descriptor, error) {
	for range maxDepth {
		if fetch != nil {
			if err := fetch(ctx, desc); err != nil {
				return desc, err
			}
		}
		data, err := s.readBlob(ctx, desc, maxManifest)
		if err != nil {
			return desc, err
		}
		kind, err := kindOf(data, desc)
		if err != nil {
			return desc, err
		}
		if !images.IsIndexType(kind) {
			desc.MediaType = kind
			return desc, nil
		}
		var index ocispec.Index
		if err := json.Unmarshal(data, &index); err != nil {
			return desc, engine.Errorf(engine.ErrInvalid, "cannot read index %s: %w", desc.Digest, err)
		}
		if desc, err = pickManifest(index, want); err != nil {
			return desc, err
		}
	}
	return desc, engine.Errorf(engine.ErrInvalid, "indexes lie in indexes more than %d deep", maxDepth)
}

// kindOf says whether data is a manifest or an index. The descriptor's word counts for nothing where the document says
// something else: that would let one digest be two images.
func kindOf(data []byte, desc ocispec.Descriptor) (string, error) {
	var doc struct {
		MediaType string            `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
		Layers    []json.RawMessage `json:"layers"`
		Config    json.RawMessage   `json:"config"`
		FSLayers  []json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return "", engine.Errorf(engine.ErrInvalid, "cannot read manifest %s: %w", desc.Digest, err)
	}
	isIndex, isManifest := len(doc.Manifests) > 0, len(doc.Layers) > 0 || len(doc.Config) > 0
	kind := doc.MediaType
	if kind == "" {
		kind = desc.MediaType
	}
	switch {
	case len(doc.FSLayers) > 0:
		return "", engine.Errorf(engine.ErrUnsupported, "manifest %s is of the format that Docker gave up in 2016 (schema 1)", desc.Digest)
	case isIndex && isManifest:
		return "", engine.Errorf(engine.ErrInvalid, "%s is a manifest and an index at once", desc.Digest)
	case isIndex && (images.IsIndexType(kind) || kind == ""):
		return orElse(kind, ocispec.MediaTypeImageIndex), nil
	case isManifest && (images.IsManifestType(kind) || kind == ""):
		return orElse(kind, ocispec.MediaTypeImageManifest), nil
	case !isManifest && images.IsIndexType(kind):
		return kind, nil
	}
	return "", engine.Errorf(engine.ErrInvalid, "%s is not a manifest but %q", desc.Digest, kind)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// pickManifest chooses the best manifest for the platform. An entry without a platform is taken if none says it fits.
func pickManifest(index ocispec.Index, want platforms.MatchComparer) (ocispec.Descriptor, error) {
	var best *ocispec.Descriptor
	var offered []string
	for i, m := range index.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "" || !images.IsManifestType(m.MediaType) && !images.IsIndexType(m.MediaType) {
			continue // an attestation
		}
		if m.Platform != nil {
			offered = append(offered, platforms.Format(*m.Platform))
			if !want.Match(*m.Platform) {
				continue
			}
		}
		if best == nil || better(want, m.Platform, best.Platform) {
			best = &index.Manifests[i]
		}
	}
	if best == nil {
		return ocispec.Descriptor{}, engine.Errorf(engine.ErrNotFound, "no image for this platform; there are: %s", orElse(strings.Join(offered, ", "), "none"))
	}
	return *best, nil
}

func better(want platforms.MatchComparer, a, b *ocispec.Platform) bool {
	if a == nil || b == nil {
		return a != nil && b == nil
	}
	return want.Less(*a, *b)
}

// parse reads the manifest and its configuration and checks that they make an image which can run here.
func (s *Store) parse(ctx context.Context, desc ocispec.Descriptor) (parts, error) {
	p := parts{desc: desc}
	data, err := s.readBlob(ctx, desc, maxManifest)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p.manifest); err != nil {
		return p, engine.Errorf(engine.ErrInvalid, "cannot read manifest %s: %w", desc.Digest, err)
	}
	if !images.IsConfigType(p.manifest.Config.MediaType) {
		return p, engine.Errorf(engine.ErrInvalid, "%s is not an image: its configuration is of type %q", desc.Digest, p.manifest.Config.MediaType)
	}
	if p.config, err = s.readConfig(ctx, p.manifest.Config); err != nil {
		return p, err
	}
	return p, p.check()
}

// configOf returns the descriptor of a manifest's configuration.
func (s *Store) configOf(ctx context.Context, desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	data, err := s.readBlob(ctx, desc, maxManifest)
	if err != nil {
		return desc, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return desc, engine.Errorf(engine.ErrInvalid, "cannot read manifest %s: %w", desc.Digest, err)
	}
	return manifest.Config, nil
}

func (s *Store) readConfig(ctx context.Context, desc ocispec.Descriptor) (cfg dockerspec.DockerOCIImage, err error) {
	data, err := s.readBlob(ctx, desc, maxConfig)
	if err != nil {
		return cfg, err
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return cfg, engine.Errorf(engine.ErrInvalid, "cannot read configuration %s: %w", desc.Digest, err)
	}
	return cfg, nil
}

func (p *parts) check() error {
	diffIDs := p.config.RootFS.DiffIDs
	if len(diffIDs) != len(p.manifest.Layers) || len(diffIDs) > maxLayers {
		return engine.Errorf(engine.ErrInvalid, "image %s is broken: %d layers, described are %d", p.desc.Digest, len(p.manifest.Layers), len(diffIDs))
	}
	if os := p.config.OS; os != "" && os != "linux" {
		return engine.Errorf(engine.ErrUnsupported, "image %s is for %s; only linux can run here", p.desc.Digest, os)
	}
	for i, l := range p.manifest.Layers {
		if !images.IsLayerType(l.MediaType) || strings.HasSuffix(l.MediaType, "+encrypted") {
			return engine.Errorf(engine.ErrUnsupported, "image %s has a layer of type %q", p.desc.Digest, l.MediaType)
		}
		for _, dgst := range []digest.Digest{l.Digest, diffIDs[i]} {
			if err := dgst.Validate(); err != nil {
				return engine.Errorf(engine.ErrInvalid, "image %s is broken: invalid digest %q: %w", p.desc.Digest, dgst, err)
			}
		}
		blob := ocispec.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
		p.layers = append(p.layers, snapshot.Layer{Blob: blob, DiffID: diffIDs[i]})
	}
	return nil
}

// gcLabels are the labels of the manifest that keep its configuration and layers.
func (p parts) gcLabels() map[string]string {
	labels := map[string]string{"containerd.io/gc.ref.content.config": p.manifest.Config.Digest.String()}
	for i, l := range p.manifest.Layers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = l.Digest.String()
	}
	return labels
}
