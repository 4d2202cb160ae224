package events

import (
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"

	"stackrun.dev/stack/engine"
)

// selection is which events a listener wants.
type selection struct {
	replay       bool
	since, until time.Time
	filters      filters.Args
}

var knownFilters = map[string]bool{
	"config": true, "container": true, "daemon": true, "event": true, "image": true, "label": true, "network": true,
	"node": true, "plugin": true, "scope": true, "secret": true, "service": true, "type": true, "volume": true,
}

func parse(opts events.ListOptions, now time.Time) (selection, error) {
	s := selection{filters: opts.Filters}
	if err := opts.Filters.Validate(knownFilters); err != nil {
		return s, engine.Errorf(engine.ErrInvalid, "cannot list events: %w", err)
	}
	var err error
	if s.since, err = parseTime(opts.Since, now); err != nil {
		return s, engine.Errorf(engine.ErrInvalid, "cannot list events: bad since: %w", err)
	}
	if s.until, err = parseTime(opts.Until, now); err != nil {
		return s, engine.Errorf(engine.ErrInvalid, "cannot list events: bad until: %w", err)
	}
	// A time that has passed already asks for what is remembered.
	s.replay = !s.since.IsZero() || (!s.until.IsZero() && !s.until.After(now))
	return s, nil
}

// parseTime reads a Unix time, an RFC 3339 time or a duration before now.
func parseTime(value string, now time.Time) (time.Time, error) {
	if value == "" || value == "0" {
		return time.Time{}, nil
	}
	if before, err := time.ParseDuration(value); err == nil {
		return now.Add(-before), nil
	}
	stamp, err := timetypes.GetTimestamp(value, now)
	if err != nil {
		return time.Time{}, err
	}
	seconds, nanos, err := timetypes.ParseTimestamps(stamp, 0)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(seconds, nanos), nil
}

func (s selection) past(m events.Message) bool {
	return !s.until.IsZero() && m.TimeNano > s.until.UnixNano()
}

func (s selection) includes(m events.Message) bool {
	if !s.since.IsZero() && m.TimeNano < s.since.UnixNano() {
		return false
	}
	f := s.filters
	if f.Len() == 0 {
		return true
	}
	return s.action(m) && s.image(m) &&
		f.ExactMatch("type", string(m.Type)) &&
		f.ExactMatch("scope", m.Scope) &&
		f.MatchKVList("label", m.Actor.Attributes) &&
		s.object(m, "container", events.ContainerEventType) &&
		s.object(m, "network", events.NetworkEventType) &&
		s.object(m, "volume", events.VolumeEventType) &&
		s.object(m, "daemon", events.DaemonEventType) &&
		s.object(m, "plugin", events.PluginEventType) &&
		s.object(m, "service", events.ServiceEventType) &&
		s.object(m, "node", events.NodeEventType) &&
		s.object(m, "secret", events.SecretEventType) &&
		s.object(m, "config", events.ConfigEventType)
}

// action matches the whole action and, for those that carry more after a colon, what stands before it.
func (s selection) action(m events.Message) bool {
	if s.filters.ExactMatch("event", string(m.Action)) {
		return true
	}
	before, _, more := strings.Cut(string(m.Action), ":")
	return more && s.filters.ExactMatch("event", before)
}

// object matches an object of one type by ID, its beginning, or its name. Other types are not wanted then.
func (s selection) object(m events.Message, filter string, kind events.Type) bool {
	if !s.filters.Contains(filter) {
		return true
	}
	if m.Type != kind {
		return kind != events.ContainerEventType && m.Actor.Attributes[filter] != "" &&
			s.filters.FuzzyMatch(filter, m.Actor.Attributes[filter])
	}
	return s.filters.FuzzyMatch(filter, m.Actor.ID) || s.filters.ExactMatch(filter, m.Actor.Attributes["name"])
}

// image matches containers by their image and images by themselves, with or without the tag.
func (s selection) image(m events.Message) bool {
	if !s.filters.Contains("image") {
		return true
	}
	names := []string{m.Actor.ID, m.Actor.Attributes["name"]}
	if m.Type != events.ImageEventType {
		names = []string{m.Actor.Attributes["image"]}
	}
	for _, name := range names {
		if name != "" && (s.filters.ExactMatch("image", name) || s.filters.ExactMatch("image", withoutTag(name))) {
			return true
		}
	}
	return false
}

func withoutTag(image string) string {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.FamiliarName(ref)
}
