package image

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
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

func newEntry(r images.Image) *entry {
	size, _ := strconv.ParseInt(r.Labels[labelSize], 10, 64)
	return &entry{id: r.Labels[labelID], manifest: r.Target, snapshot: r.Labels[snapshot.RefLabel], size: size}
}

// catalog is what the records say, read once and again after a change. It is not changed itself.
type catalog struct {
	entries []entry // ordered by ID
	byName  map[string]target
}

// target is what a record name leads to: an image, by its index, in the form of this manifest. Registries and archives
// may pack the same image in different manifests.
type target struct {
	entry    int
	manifest ocispec.Descriptor
}

// catalogCache holds the catalog until a record changes.
type catalogCache struct {
	mu      sync.Mutex
	current *catalog
	changes int // so that a catalog which was read before a change is not kept after it
}

func (c *catalogCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	c.changes++
}

func (s *Store) catalog(ctx context.Context) (*catalog, error) {
	s.cache.mu.Lock()
	current, changes := s.cache.current, s.cache.changes
	s.cache.mu.Unlock()
	if current != nil {
		return current, nil
	}
	records, err := s.records.List(ctx)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot read the images: %w", err)
	}
	current = newCatalog(records)
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	if s.cache.changes == changes {
		s.cache.current = current
	}
	return current, nil
}

// newCatalog groups the records by image.
func newCatalog(records []images.Image) *catalog {
	byID := map[string]*entry{}
	manifests := map[string]ocispec.Descriptor{}
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
		manifests[r.Name] = r.Target
		if r.UpdatedAt.After(e.tagged) {
			e.tagged = r.UpdatedAt
		}
	}
	c := &catalog{byName: map[string]target{}}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		e := byID[id]
		sort.Strings(e.names)
		for _, name := range e.names {
			c.byName[name] = target{entry: len(c.entries), manifest: manifests[name]}
		}
		c.entries = append(c.entries, *e)
	}
	return c
}

// named returns the image that the record name leads to.
func (c *catalog) named(name string) (entry, bool) {
	t, ok := c.byName[name]
	if !ok {
		return entry{}, false
	}
	e := c.entries[t.entry]
	e.manifest = t.manifest
	return e, true
}

// withID returns the image of that ID.
func (c *catalog) withID(id string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(c.entries, id, func(e entry, id string) int { return strings.Compare(e.id, id) })
	if !ok {
		return entry{}, false
	}
	return c.entries[i], true
}

// find resolves a reference to an image. The name that was matched is "" if it was found by its ID.
func (s *Store) find(ctx context.Context, ref string) (e entry, name string, err error) {
	c, err := s.catalog(ctx)
	if err != nil {
		return entry{}, "", err
	}
	hex, isID := idPrefix(ref)
	if isID && (strings.HasPrefix(ref, "sha256:") || len(hex) == 64) { // the reference grammar has no such names
		e, err = c.find(ref, hex)
		return e, "", err
	}
	named, err := parseName(ref)
	if err != nil {
		return entry{}, "", err
	}
	name = recordName(named)
	if e, ok := c.named(name); ok {
		return e, name, nil
	}
	if isID {
		e, err = c.find(ref, hex)
		return e, "", err
	}
	return entry{}, "", noSuchImage(ref)
}

// find returns the only image whose ID begins with the digits.
func (c *catalog) find(ref, hex string) (entry, error) {
	prefix := "sha256:" + hex
	first := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].id >= prefix })
	last := first
	for last < len(c.entries) && strings.HasPrefix(c.entries[last].id, prefix) {
		last++
	}
	switch last - first {
	case 0:
		return entry{}, noSuchImage(ref)
	case 1:
		return c.entries[first], nil
	}
	return entry{}, engine.Errorf(engine.ErrInvalid, "%s is the beginning of the IDs of %d images", ref, last-first)
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
	defer s.cache.forget()
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
	defer s.cache.forget()
	if err := s.records.Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
		return engine.Errorf(engine.ErrInternal, "cannot remove image %s: %w", name, err)
	}
	return nil
}
