package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/docker/docker/api/server/httpstatus"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// flusher sends what is written at once, so that a client sees progress when it happens.
type flusher struct {
	io.Writer
	http.Flusher
}

func newFlusher(w http.ResponseWriter) flusher {
	f, ok := w.(http.Flusher)
	if !ok {
		f = noFlush{}
	}
	return flusher{w, f}
}

type noFlush struct{}

func (noFlush) Flush() {}

// stream answers with JSON messages. As long as none was sent an error is the answer's status; afterwards it is the
// last message.
type stream struct {
	w       http.ResponseWriter
	started bool
}

// report implements engine.Progress.
func (s *stream) report(m jsonmessage.JSONMessage) { s.send(m) }

func (s *stream) send(m any) {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", "application/json")
		s.w.WriteHeader(http.StatusOK)
	}
	if json.NewEncoder(s.w).Encode(m) == nil {
		newFlusher(s.w).Flush()
	}
}

// say sends a line of output.
func (s *stream) say(line string) { s.report(jsonmessage.JSONMessage{Stream: line}) }

// end tells the error, in one way or the other.
func (s *stream) end(err error) error {
	if err == nil || !s.started {
		return err
	}
	status := httpstatus.FromError(err)
	if errors.Is(err, engine.ErrInvalid) {
		status = 0 // the user's mistake; clients use other values as the exit code
	}
	s.send(jsonmessage.JSONMessage{
		Error:        &jsonmessage.JSONError{Code: status, Message: err.Error()},
		ErrorMessage: err.Error(),
	})
	return nil
}

// engineFault tells an error from the regular ends of a stream.
func engineFault(err error) bool {
	return err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled)
}
