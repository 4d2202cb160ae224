package memory

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"

	"stackrun.dev/stack/engine"
)

// remembered is how many events can be replayed.
const remembered = 4096

// hub keeps the events and tells who listens that there are new ones. A listener reads at its own pace.
type hub struct {
	mu      sync.Mutex
	first   int // number of the oldest that is kept
	kept    []events.Message
	changed chan struct{} // closed and replaced with every event
}

func newHub() *hub { return &hub{changed: make(chan struct{})} }

func (h *hub) publish(kind events.Type, action events.Action, id string, attributes map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := time.Now()
	h.kept = append(h.kept, events.Message{
		Type: kind, Action: action, Scope: "local",
		Actor: events.Actor{ID: id, Attributes: attributes},
		Time:  at.Unix(), TimeNano: at.UnixNano(),
	})
	if len(h.kept) > remembered {
		h.kept = h.kept[1:]
		h.first++
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// from returns the events from the given number on, the number of the next one, and what to wait for.
func (h *hub) from(number int) ([]events.Message, int, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	start := max(number-h.first, 0)
	return h.kept[start:len(h.kept):len(h.kept)], h.first + len(h.kept), h.changed
}

// Events implements engine.System.
func (e *Engine) Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message), make(chan error, 1)
	if err := e.enter(ctx, "Events", ""); err != nil {
		errs <- err
		return messages, errs
	}
	since, until, err := period(opts)
	if err != nil {
		errs <- err
		return messages, errs
	}
	_, number, _ := e.events.from(0)
	if !since.IsZero() {
		number = 0
	}
	go func() { errs <- e.deliver(ctx, messages, number, since, until, opts.Filters) }()
	return messages, errs
}

func (e *Engine) deliver(ctx context.Context, to chan<- events.Message, number int, since, until time.Time, args filters.Args) error {
	over := make(<-chan time.Time)
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		over = timer.C
	}
	for {
		pending, next, changed := e.events.from(number)
		number = next
		for _, m := range pending {
			at := time.Unix(0, m.TimeNano)
			if at.Before(since) || !until.IsZero() && at.After(until) || !eventMatches(m, args) {
				continue
			}
			select {
			case to <- m:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !until.IsZero() && !time.Now().Before(until) {
			return io.EOF
		}
		select {
		case <-changed:
		case <-over:
			return io.EOF
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func period(opts events.ListOptions) (since, until time.Time, err error) {
	if since, err = parseTime(opts.Since); err != nil {
		return since, until, err
	}
	until, err = parseTime(opts.Until)
	return since, until, err
}

// parseTime reads the API's forms of a time: seconds since 1970 with a fraction, RFC 3339, or a duration before now.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	value, err := timetypes.GetTimestamp(text, time.Now())
	if err != nil {
		return time.Time{}, engine.Errorf(engine.ErrInvalid, "cannot read the time %q: %w", text, err)
	}
	seconds, nanos, err := timetypes.ParseTimestamps(value, 0)
	if err != nil {
		return time.Time{}, engine.Errorf(engine.ErrInvalid, "cannot read the time %q: %w", text, err)
	}
	return time.Unix(seconds, nanos), nil
}

// eventMatches implements the API's filters for events.
func eventMatches(m events.Message, args filters.Args) bool {
	action, _, _ := strings.Cut(string(m.Action), ":")
	event := !args.Contains("event") || args.ExactMatch("event", string(m.Action)) || args.ExactMatch("event", action)
	object := func(kind events.Type, key string) bool {
		if !args.Contains(key) {
			return true
		}
		return m.Type == kind && (args.Match(key, m.Actor.ID) || args.Match(key, m.Actor.Attributes["name"]))
	}
	return event && args.ExactMatch("type", string(m.Type)) && args.ExactMatch("scope", m.Scope) &&
		args.MatchKVList("label", m.Actor.Attributes) &&
		object(events.ContainerEventType, "container") && object(events.NetworkEventType, "network") &&
		object(events.VolumeEventType, "volume") && imageMatches(m, args)
}

func imageMatches(m events.Message, args filters.Args) bool {
	return !args.Contains("image") || args.ExactMatch("image", m.Actor.ID) ||
		args.ExactMatch("image", m.Actor.Attributes["name"]) || args.ExactMatch("image", m.Actor.Attributes["image"])
}
