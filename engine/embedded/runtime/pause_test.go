package runtime

import (
	"context"
	"errors"
	"io"
	"strconv"
	"testing"

	"stackrun.dev/stack/engine"
)

// TestPauseWhileProcessesStart: health probes do not ask whether somebody pauses the container just now.
func TestPauseWhileProcessesStart(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("busy", "sleep", "1000"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for n := 0; ctx.Err() == nil; n++ {
			_, err := w.Exec(context.WithoutCancel(ctx), "busy", ExecConfig{ExecID: strconv.Itoa(n), Args: []string{"true"}}, Streams{Stdout: io.Discard, Stderr: io.Discard}, nil)
			if err != nil && !errors.Is(err, engine.ErrConflict) { // it is paused
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 40 {
		must(t, w.Pause(ctx, "busy"))
		must(t, w.Resume(ctx, "busy"))
	}
	cancel()
	must(t, <-ended)
}
