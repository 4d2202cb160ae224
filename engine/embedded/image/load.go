package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/platforms"
	"github.com/docker/docker/pkg/jsonmessage"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Load implements engine.Images. It reads archives of docker save and OCI layouts.
func (s *Store) Load(ctx context.Context, in io.Reader, progress engine.Progress) (refs []string, err error) {
	ctx, release, err := s.snapshots.Hold(ctx)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot load images: %w", err)
	}
	defer s.release(release, &err)
	if refs, err = s.load(ctx, in, progress); err != nil {
		return nil, wrap(err, "cannot load images")
	}
	return refs, nil
}

func (s *Store) load(ctx context.Context, in io.Reader, progress engine.Progress) ([]string, error) {
	plain, err := snapshot.Decompress(ctx, in)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot decompress the archive: %w", err)
	}
	defer plain.Close()
	// Refs of the content store are one per archive, so that two loads of the same file do not wait for each other.
	guarded := snapshot.GuardSpace(plain, s.snapshots.Root())
	top, err := archive.ImportIndex(ctx, privateRefs{s.snapshots.Content()}, guarded)
	if errors.Is(err, unix.ENOSPC) {
		return nil, err
	}
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
	}
	data, err := s.readBlob(ctx, top, maxManifest)
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot read the archive's index: %w", err)
	}
	return s.loadAll(ctx, index.Manifests, progress)
}

// loadAll stores the images that the archive lists. A manifest is listed once for each of its names.
func (s *Store) loadAll(ctx context.Context, listed []ocispec.Descriptor, progress engine.Progress) ([]string, error) {
	refs := []string{}
	for _, desc := range listed {
		if desc.Annotations["vnd.docker.reference.type"] != "" || !images.IsManifestType(desc.MediaType) && !images.IsIndexType(desc.MediaType) {
			continue
		}
		if desc.Platform != nil && !platforms.Default().Match(*desc.Platform) && len(listed) > 1 {
			continue
		}
		ref, err := s.loadOne(ctx, desc)
		if err != nil {
			return nil, err
		}
		kind := "Loaded image: "
		if strings.HasPrefix(ref, "sha256:") {
			kind = "Loaded image ID: "
		}
		progress.Report(jsonmessage.JSONMessage{Stream: kind + ref + "\n"})
		refs = append(refs, ref)
	}
	if len(refs) == 0 {
		return nil, engine.Errorf(engine.ErrInvalid, "the archive has no image for this platform")
	}
	return refs, nil
}

func (s *Store) loadOne(ctx context.Context, desc ocispec.Descriptor) (string, error) {
	names, err := archiveNames(desc)
	if err != nil {
		return "", err
	}
	manifest, err := s.choose(ctx, desc, platforms.Default(), nil)
	if err != nil {
		return "", err
	}
	p, err := s.parse(ctx, manifest)
	if err != nil {
		return "", err
	}
	id, err := s.unpackAndKeep(ctx, p, snapshot.UnpackHooks{}, names)
	if err != nil || len(names) == 0 {
		return id, err
	}
	ref, _ := familiar(names[0])
	return ref, nil
}

// archiveNames takes the image's name out of the annotations that containerd, Docker and skopeo write. An annotation that
// is only a tag names nothing.
func archiveNames(desc ocispec.Descriptor) ([]string, error) {
	name := desc.Annotations[images.AnnotationImageName]
	if name == "" {
		name = desc.Annotations[ocispec.AnnotationRefName]
		if !strings.ContainsAny(name, ":/") {
			return nil, nil
		}
	}
	named, err := parseTag(name)
	if err != nil {
		return nil, err
	}
	return []string{named.String()}, nil
}
