package container

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

var knownFilters = map[string]bool{
	"ancestor": true, "before": true, "exited": true, "expose": true, "health": true, "id": true, "is-task": true, "isolation": true,
	"label": true, "name": true, "network": true, "publish": true, "since": true, "status": true, "volume": true,
}

// Lookups resolve what filters name.
type Lookups struct {
	Container func(ref string) (Record, error)
	ImageID   func(ref string) string // "" if there is no such image
}

// Select returns the records that a list with these options shows, sorted by name. ErrInvalid: a filter is unknown or
// its value makes no sense. ErrNotFound: a container that a filter names is not there.
func Select(all []Record, opts container.ListOptions, look Lookups) ([]Record, error) {
	s, err := newSelector(opts, look)
	if err != nil {
		return nil, err
	}
	var chosen []Record
	for i := range all {
		if s.includes(&all[i]) {
			chosen = append(chosen, all[i])
		}
	}
	if s.limit > 0 && len(chosen) > s.limit {
		slices.SortFunc(chosen, func(a, b Record) int { return b.Created.Compare(a.Created) })
		chosen = chosen[:s.limit]
	}
	slices.SortFunc(chosen, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	return chosen, nil
}

type selector struct {
	filters       filters.Args
	all           bool
	limit         int
	before, since *Record
	ancestors     map[string]bool // image IDs; nil for any
	exited        []int
}

func newSelector(opts container.ListOptions, look Lookups) (*selector, error) {
	f := opts.Filters
	if err := f.Validate(knownFilters); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list containers: %w", err)
	}
	s := &selector{filters: f, all: opts.All || opts.Limit > 0 || opts.Latest || f.Contains("status"), limit: opts.Limit}
	if opts.Latest {
		s.limit = 1
	}
	if err := s.checkWords(); err != nil {
		return nil, err
	}
	for _, code := range f.Get("exited") {
		n, err := strconv.Atoi(code)
		if err != nil {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot list containers: bad exit code %q", code)
		}
		s.exited = append(s.exited, n)
	}
	s.resolveAncestors(look)
	var err error
	if s.before, err = s.bound("before", opts.Before, look); err != nil {
		return nil, err
	}
	s.since, err = s.bound("since", opts.Since, look)
	return s, err
}

func (s *selector) checkWords() error {
	for _, status := range s.filters.Get("status") {
		if err := container.ValidateContainerState(status); err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot list containers: %w", err)
		}
	}
	for _, status := range s.filters.Get("health") {
		if err := container.ValidateHealthStatus(status); err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot list containers: %w", err)
		}
	}
	return nil
}

func (s *selector) resolveAncestors(look Lookups) {
	if !s.filters.Contains("ancestor") {
		return
	}
	s.ancestors = map[string]bool{}
	for _, ref := range s.filters.Get("ancestor") {
		if id := look.ImageID(ref); id != "" {
			s.ancestors[id] = true
		}
	}
}

func (s *selector) bound(filter, option string, look Lookups) (*Record, error) {
	refs := s.filters.Get(filter)
	if option != "" {
		refs = append(refs, option)
	}
	if len(refs) == 0 {
		return nil, nil
	}
	r, err := look.Container(refs[0])
	return &r, err
}

func (s *selector) includes(r *Record) bool {
	lives := r.State.Active() || r.State.Phase == lifecycle.Restarting
	f := s.filters
	switch {
	case !lives && !s.all:
	case s.before != nil && !r.Created.Before(s.before.Created):
	case s.since != nil && !r.Created.After(s.since.Created):
	case s.ancestors != nil && !s.ancestors[r.Image]:
	case len(s.exited) > 0 && (lives || r.State.StartedAt.IsZero() || !slices.Contains(s.exited, r.State.ExitCode)):
	case !f.Match("name", r.Name) && !f.Match("name", "/"+r.Name):
	case !f.FuzzyMatch("id", r.ID):
	case !f.ExactMatch("status", string(r.State.Phase)):
	case !f.ExactMatch("health", r.HealthStatus()):
	case !f.MatchKVList("label", r.Config.Labels):
	case !s.onNetwork(r), !s.withVolume(r), !s.withPort(r, "expose"), !s.withPort(r, "publish"):
	default:
		return true
	}
	return false
}

func (s *selector) onNetwork(r *Record) bool {
	if !s.filters.Contains("network") {
		return true
	}
	for name, endpoint := range r.Networks() {
		if s.filters.ExactMatch("network", name) || endpoint != nil && endpoint.NetworkID != "" && s.filters.FuzzyMatch("network", endpoint.NetworkID) {
			return true
		}
	}
	return false
}

func (s *selector) withVolume(r *Record) bool {
	wanted := s.filters.Get("volume")
	return len(wanted) == 0 || slices.ContainsFunc(r.Mounts, func(m Mount) bool {
		return slices.ContainsFunc(wanted, func(v string) bool {
			return v == m.Name || path.Clean(v) == m.Destination || m.Source != "" && path.Clean(v) == m.Source
		})
	})
}

// withPort matches exposed or published ports: a number, with or without protocol.
func (s *selector) withPort(r *Record, filter string) bool {
	wanted := s.filters.Get(filter)
	if len(wanted) == 0 {
		return true
	}
	has := func(port nat.Port) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return withProto(w) == port })
	}
	if filter == "expose" {
		for port := range r.Config.ExposedPorts {
			if has(port) {
				return true
			}
		}
	}
	for port, bindings := range r.Ports {
		if filter == "expose" && has(port) {
			return true
		}
		for _, b := range bindings {
			if filter == "publish" && has(nat.Port(b.HostPort+"/"+port.Proto())) {
				return true
			}
		}
	}
	return false
}
