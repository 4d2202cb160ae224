package docker

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/system"
)

// Version implements engine.System.
func (e *Engine) Version(ctx context.Context) (types.Version, error) {
	v, err := e.api.ServerVersion(ctx)
	return v, e.failed(err)
}

// Info implements engine.System.
func (e *Engine) Info(ctx context.Context) (system.Info, error) {
	info, err := e.api.Info(ctx)
	return info, e.failed(err)
}

// Events implements engine.System. Docker answers the request before it subscribes; asking for what happened since the
// request closes that gap, where both sides read the same clock.
func (e *Engine) Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error) {
	if opts.Since == "" && e.sameClock {
		opts.Since = timestamp(time.Now())
	}
	out := make(chan error, 1)
	// The client reads the agreed version for the query without waiting for the agreement; this call does wait.
	if _, err := e.version(ctx); err != nil {
		out <- err
		return make(chan events.Message), out
	}
	messages, errs := e.api.Events(ctx, opts)
	go func() {
		err := <-errs
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		if err != io.EOF {
			err = e.failed(err)
		}
		out <- err
	}()
	return messages, out
}

// timestamp is a time as the API's queries take it: seconds and nanoseconds since 1970.
func timestamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + pad9(t.Nanosecond())
}

func pad9(n int) string {
	s := strconv.Itoa(n)
	return "000000000"[len(s):] + s
}
