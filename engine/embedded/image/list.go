package image

import (
	"context"
	"sort"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// listFilters are the filters that List knows.
var listFilters = map[string]bool{"dangling": true, "label": true, "reference": true, "before": true, "since": true}

// List implements engine.Images: one summary for each image, ordered by name, those without a name last. The filters are
// dangling, label, reference, before and since.
func (s *Store) List(ctx context.Context, opts image.ListOptions) ([]image.Summary, error) {
	ctx = s.context(ctx)
	if err := opts.Filters.Validate(listFilters); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list images: %w", err)
	}
	keep, err := s.selection(ctx, opts.Filters)
	if err != nil {
		return nil, err
	}
	all, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	out := []image.Summary{}
	for _, e := range all.entries {
		cfg, err := s.config(ctx, e.id)
		if err != nil {
			return nil, err
		}
		if keep(e, cfg) {
			out = append(out, summary(e, cfg))
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return less(out[i].RepoTags, out[j].RepoTags) })
	return out, nil
}

func less(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) > len(b)
	}
	return a[0] < b[0]
}

func summary(e entry, cfg dockerspec.DockerOCIImage) image.Summary {
	return image.Summary{
		ID:          e.id,
		RepoTags:    e.tags(),
		RepoDigests: e.digests(),
		Created:     created(cfg).Unix(),
		Labels:      cfg.Config.Labels,
		Size:        e.size,
		SharedSize:  -1, // not computed
		Containers:  -1, // not known here
	}
}

func created(cfg dockerspec.DockerOCIImage) time.Time {
	if cfg.Created == nil {
		return time.Unix(0, 0)
	}
	return *cfg.Created
}

// selection makes a predicate of the filters.
func (s *Store) selection(ctx context.Context, f filters.Args) (func(entry, dockerspec.DockerOCIImage) bool, error) {
	dangling, err := f.GetBoolOrDefault("dangling", false)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list images: %w", err)
	}
	before, err := s.createdOf(ctx, f.Get("before"))
	if err != nil {
		return nil, err
	}
	since, err := s.createdOf(ctx, f.Get("since"))
	if err != nil {
		return nil, err
	}
	return func(e entry, cfg dockerspec.DockerOCIImage) bool {
		at := created(cfg)
		switch {
		case f.Contains("dangling") && dangling != (len(e.tags()) == 0):
			return false
		case before != nil && !at.Before(*before), since != nil && !at.After(*since):
			return false
		case f.Contains("label") && !f.MatchKVList("label", cfg.Config.Labels):
			return false
		case f.Contains("reference") && !matchesAny(f.Get("reference"), e.names):
			return false
		}
		return true
	}, nil
}

// createdOf returns when the first of the images was created, nil if none is named.
func (s *Store) createdOf(ctx context.Context, refs []string) (*time.Time, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	e, _, err := s.find(ctx, refs[0])
	if err != nil {
		return nil, err
	}
	cfg, err := s.config(ctx, e.id)
	if err != nil {
		return nil, err
	}
	at := created(cfg)
	return &at, nil
}

func matchesAny(patterns, names []string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, untaggedPrefix) {
			continue
		}
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			continue
		}
		for _, pattern := range patterns {
			if ok, err := reference.FamiliarMatch(pattern, named); ok && err == nil {
				return true
			}
			if ok, err := reference.FamiliarMatch(pattern, reference.TrimNamed(named)); ok && err == nil {
				return true
			}
		}
	}
	return false
}
