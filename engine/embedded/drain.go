package embedded

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/network"
)

// A container whose place another one has taken gets its stop signal when the connections that were on their way to it
// have come and gone. A server that closes its socket at the signal would refuse those that it has not accepted yet, and one
// that ends at the signal would cut off those that it has.
const (
	// drainNames is how long after a name server told its address somebody may begin to connect to it.
	drainNames = 250 * time.Millisecond

	// drainMost is how long connections that do not end are waited for. Those are the server's own affair: it has the
	// time that a stop allows.
	drainMost = time.Second

	// drainLook is how often the connections are counted: for drainMost at most, and only while a successor takes over. The kernel
	// has no event for the moment at which none is left.
	drainLook = 10 * time.Millisecond
)

// drain waits until a container that handed over is rid of its connections, or has ended, or the caller is in a hurry.
func (e *Engine) drain(ctx context.Context, c *container.Container, h network.Handover) {
	if !h.Succeeded || len(h.Ports) == 0 && !h.Names {
		return
	}
	began := time.Now()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		quiet, err := e.networks.Quiet(c.ID)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			slog.Warn("cannot count the connections of a container", "container", c.Record().Name, "error", err)
		}
		told := h.Names && time.Since(began) < drainNames
		if err != nil && !told || quiet && !told || time.Since(began) > drainMost {
			return
		}
		now, changed := c.Watch()
		if ended(now) {
			return
		}
		select {
		case <-look.C:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
