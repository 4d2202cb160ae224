package image

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/storage"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// Resolve finds an image by name, digest reference, ID or unambiguous short ID. It is cheap: containers are created with
// it. The configuration is shared and must not be changed.
func (s *Store) Resolve(ctx context.Context, ref string) (Image, error) {
	ctx = s.context(ctx)
	e, _, err := s.find(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	cfg, err := s.config(ctx, e.id)
	if err != nil {
		return Image{}, err
	}
	return Image{ID: e.id, Config: cfg, Snapshot: e.snapshot, RepoTags: e.tags(), RepoDigests: e.digests(), Size: e.size}, nil
}

func (s *Store) config(ctx context.Context, id string) (dockerspec.DockerOCIImage, error) {
	return s.configs.get(id, func() (dockerspec.DockerOCIImage, error) {
		cfg, err := s.readConfig(ctx, ocispec.Descriptor{Digest: digest.Digest(id)})
		if err != nil {
			return cfg, engine.Errorf(engine.ErrInternal, "cannot read the configuration of image %s: %w", id, err)
		}
		return cfg, nil
	})
}

// Inspect implements engine.Images.
func (s *Store) Inspect(ctx context.Context, ref string) (image.InspectResponse, error) {
	ctx = s.context(ctx)
	e, _, err := s.find(ctx, ref)
	if err != nil {
		return image.InspectResponse{}, err
	}
	cfg, err := s.config(ctx, e.id)
	if err != nil {
		return image.InspectResponse{}, err
	}
	resp := image.InspectResponse{
		ID:           e.id,
		RepoTags:     e.tags(),
		RepoDigests:  e.digests(),
		Author:       cfg.Author,
		Config:       &cfg.Config,
		Architecture: cfg.Architecture,
		Variant:      cfg.Variant,
		Os:           orElse(cfg.OS, "linux"),
		OsVersion:    cfg.OSVersion,
		Size:         e.size,
		GraphDriver:  storage.DriverData{Name: "overlay2"}, // the name under which clients know overlayfs
		RootFS:       image.RootFS{Type: "layers"},
		Metadata:     image.Metadata{LastTagTime: e.tagged},
	}
	if len(cfg.History) > 0 {
		resp.Comment = cfg.History[len(cfg.History)-1].Comment
	}
	if cfg.Created != nil {
		resp.Created = cfg.Created.UTC().Format(time.RFC3339Nano)
	}
	for _, id := range cfg.RootFS.DiffIDs {
		resp.RootFS.Layers = append(resp.RootFS.Layers, id.String())
	}
	return resp, nil
}

// History implements engine.Images.
func (s *Store) History(ctx context.Context, ref string) ([]image.HistoryResponseItem, error) {
	ctx = s.context(ctx)
	e, _, err := s.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	cfg, err := s.config(ctx, e.id)
	if err != nil {
		return nil, err
	}
	var sizes []int64 // the topmost first
	if err := s.eachLayer(ctx, e.snapshot, func(size int64) { sizes = append(sizes, size) }); err != nil {
		return nil, err
	}
	items := []image.HistoryResponseItem{}
	for i := len(cfg.History) - 1; i >= 0; i-- { // the newest first
		h := cfg.History[i]
		item := image.HistoryResponseItem{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment, Tags: nil}
		if h.Created != nil {
			item.Created = h.Created.Unix()
		}
		if !h.EmptyLayer && len(sizes) > 0 {
			item.Size, sizes = sizes[0], sizes[1:]
		}
		items = append(items, item)
	}
	if len(items) > 0 {
		items[0].ID, items[0].Tags = e.id, e.tags()
	}
	return items, nil
}
