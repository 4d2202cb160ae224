package docker

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// report reads a stream of JSON messages to its end and hands each to all. The error that a message carries becomes
// the result; its kind is taken from its text and else is otherwise.
func (e *Engine) report(stream io.Reader, otherwise error, all ...engine.Progress) error {
	decoder := json.NewDecoder(stream)
	for {
		var m jsonmessage.JSONMessage
		if err := decoder.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return e.failed(err)
		}
		if m.Error != nil || m.ErrorMessage != "" {
			return streamed(m, otherwise)
		}
		for _, progress := range all {
			progress.Report(m)
		}
	}
}

func streamed(m jsonmessage.JSONMessage, otherwise error) error {
	text := m.ErrorMessage
	if m.Error != nil {
		text = m.Error.Message
	}
	text = strings.TrimSpace(text)
	kind := kindOf(nil, text)
	if kind == engine.ErrInternal {
		kind = kindOfCode(m.Error, otherwise)
	}
	return &engine.Error{Kind: kind, Text: text}
}

// kindOfCode reads the HTTP status that our own engine puts into its messages. Docker's builder puts a step's exit code
// there instead, which is below any status.
func kindOfCode(err *jsonmessage.JSONError, otherwise error) error {
	if err == nil {
		return otherwise
	}
	kind, ok := map[int]error{
		400: engine.ErrInvalid, 403: engine.ErrForbidden, 404: engine.ErrNotFound, 409: engine.ErrConflict,
		500: engine.ErrInternal, 501: engine.ErrUnsupported, 503: engine.ErrUnavailable,
	}[err.Code]
	if !ok {
		return otherwise
	}
	return kind
}
