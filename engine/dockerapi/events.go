package dockerapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/router"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/versions"

	"stackrun.dev/stack/engine"
)

func eventRoutes(e engine.Engine) []router.Route {
	return []router.Route{router.NewGetRoute("/events", eventStream{e}.serve)}
}

// eventStream serves /events. The header is sent when the subscription holds: whoever has it misses nothing.
type eventStream struct{ engine engine.Engine }

func (s eventStream) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	args, err := formFilters(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := s.engine.Events(ctx, events.ListOptions{Since: r.Form.Get("since"), Until: r.Form.Get("until"), Filters: args})
	select {
	case err := <-errs: // before anything was sent it can be told with a status
		if engineFault(err) {
			return err
		}
		errs = ended(err)
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	out := newFlusher(w)
	out.Flush()
	encoder := json.NewEncoder(out)
	// Creations of images are news since 1.46.
	old := versions.LessThan(httputils.VersionFromContext(ctx), "1.46")
	for {
		select {
		case m := <-messages:
			if old && m.Type == events.ImageEventType && m.Action == events.ActionCreate {
				continue
			}
			if err := encoder.Encode(withLegacyFields(m)); err != nil {
				return nil // the client has left
			}
			out.Flush()
		case <-errs:
			return nil
		}
	}
}

// ended is a stream of errors that has had its value read already.
func ended(err error) <-chan error {
	c := make(chan error, 1)
	c <- err
	return c
}

// withLegacyFields adds what clients of the first versions of the API read; docker-compose 1.29 is one.
func withLegacyFields(m events.Message) events.Message {
	if m.Status == "" && (m.Type == events.ContainerEventType || m.Type == events.ImageEventType) {
		m.Status, m.ID, m.From = string(m.Action), m.Actor.ID, m.Actor.Attributes["image"]
	}
	return m
}
