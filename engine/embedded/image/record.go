package image

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// The labels of a record. They are written here only, never taken from an image.
const (
	labelID   = "stackrun.dev/image.id"
	labelSize = "stackrun.dev/image.size"
)

// entry is one image with all its records.
type entry struct {
	id       string
	manifest ocispec.Descriptor
	snapshot string
	size     int64
	names    []string // of its records, sorted
	tagged   time.Time
}

// tags and digests are the names in their familiar form.
func (e entry) tags() []string    { return e.pick(false) }
func (e entry) digests() []string { return e.pick(true) }

func (e entry) pick(digested bool) []string {
	out := []string{}
	for _, name := range e.names {
		if short, d := familiar(name); short != "" && d == digested {
			out = append(out, short)
		}
	}
	sort.Strings(out)
	return out
}

// entries reads the records that match the filter ("" for all) and groups them by image, ordered by ID.
func (s *Store) entries(ctx context.Context, filter ...string) ([]entry, error) {
	records, err := s.records.List(ctx, filter...)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot read the images: %w", err)
	}
	byID := map[string]*entry{}
	for _, r := range records {
		id := r.Labels[labelID]
		if id == "" {
			continue // not one of ours
		}
		e := byID[id]
		if e == nil {
			e = newEntry(r)
			byID[id] = e
		}
		e.names = append(e.names, r.Name)
		if r.UpdatedAt.After(e.tagged) {
			e.tagged = r.UpdatedAt
		}
	}
	out := make([]entry, 0, len(byID))
	for _, e := range byID {
		sort.Strings(e.names)
		out = append(out, *e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id < out[j].id })
	return out, nil
}

func newEntry(r images.Image) *entry {
	size, _ := strconv.ParseInt(r.Labels[labelSize], 10, 64)
	return &entry{id: r.Labels[labelID], manifest: r.Target, snapshot: r.Labels[snapshot.RefLabel], size: size}
}

// find resolves a reference to an image. The name that was matched is "" if it was found by its ID.
func (s *Store) find(ctx context.Context, ref string) (e entry, name string, err error) {
	if hex, ok := strings.CutPrefix(ref, "sha256:"); ok && idPattern.MatchString(hex) {
		e, err = s.findID(ctx, ref, hex)
		return e, "", err
	}
	if hex, ok := idPrefix(ref); ok && len(hex) == 64 { // the reference grammar has no such names
		e, err = s.findID(ctx, ref, hex)
		return e, "", err
	}
	named, err := parseName(ref)
	if err != nil {
		return entry{}, "", err
	}
	name = recordName(named)
	r, err := s.records.Get(ctx, name)
	if err == nil && r.Labels[labelID] != "" {
		e, err = s.findID(ctx, ref, strings.TrimPrefix(r.Labels[labelID], "sha256:"))
		return e, name, err
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return entry{}, "", engine.Errorf(engine.ErrInternal, "cannot read image %s: %w", ref, err)
	}
	if hex, ok := idPrefix(ref); ok {
		e, err = s.findID(ctx, ref, hex)
		return e, "", err
	}
	return entry{}, "", noSuchImage(ref)
}

func (s *Store) findID(ctx context.Context, ref, hex string) (entry, error) {
	filter := `labels."` + labelID + `"~="^sha256:` + hex + `"`
	if len(hex) == 64 {
		filter = `labels."` + labelID + `"=="sha256:` + hex + `"`
	}
	found, err := s.entries(ctx, filter)
	switch {
	case err != nil:
		return entry{}, err
	case len(found) == 0:
		return entry{}, noSuchImage(ref)
	case len(found) > 1:
		return entry{}, engine.Errorf(engine.ErrInvalid, "%s is the beginning of the IDs of %d images", ref, len(found))
	}
	return found[0], nil
}

func noSuchImage(ref string) error {
	return engine.Errorf(engine.ErrNotFound, "no such image: %s", ref)
}

// put makes name lead to the image, whatever it led to before.
func (s *Store) put(ctx context.Context, name string, e entry) error {
	r := images.Image{
		Name:   name,
		Target: ocispec.Descriptor{MediaType: e.manifest.MediaType, Digest: e.manifest.Digest, Size: e.manifest.Size},
		Labels: map[string]string{labelID: e.id, labelSize: strconv.FormatInt(e.size, 10)},
	}
	if e.snapshot != "" {
		r.Labels[snapshot.RefLabel] = e.snapshot
	}
	_, err := s.records.Create(ctx, r)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.records.Update(ctx, r)
	}
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot store image %s: %w", name, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, name string) error {
	if err := s.records.Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
		return engine.Errorf(engine.ErrInternal, "cannot remove image %s: %w", name, err)
	}
	return nil
}
