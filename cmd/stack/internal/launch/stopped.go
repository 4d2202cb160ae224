package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"stackrun.dev/stack/watch/fsnotify"
)

// ErrStopped says that nobody listens because the engine was told to stop.
var ErrStopped = errors.New("the engine was stopped")

// stopMark is a file that is there from when an engine was told to stop until the next one listens. One that was killed, or that
// crashed, leaves none.
func (t Target) stopMark() string { return filepath.Join(t.Run, "engine.stopped") }

// Stopped says that the last engine was told to stop, and that none has been started since.
func (t Target) Stopped() bool {
	_, err := os.Lstat(t.stopMark())
	return err == nil
}

// markStopped is called before the engine refuses the first request, so that whoever loses it finds the mark.
func (t Target) markStopped() error {
	if err := os.WriteFile(t.stopMark(), nil, 0o600); err != nil {
		return fmt.Errorf("cannot note that the engine was stopped: %w", err)
	}
	return nil
}

// markStarted is called when the engine listens, so that whoever waits for that finds it.
func (t Target) markStarted() error {
	if err := os.Remove(t.stopMark()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot note that the engine was started: %w", err)
	}
	return nil
}

// Resume is Start for a command that has lost its engine: nobody has asked for an engine since, so that one that was told to stop
// stays stopped. ErrStopped: it was.
func Resume(ctx context.Context, t Target, program Program) (*Lease, error) {
	return start(ctx, t, program, func() error {
		if t.Stopped() {
			return ErrStopped
		}
		return nil
	})
}

// AwaitStart waits until an engine is started, or may be started, after one was told to stop.
func AwaitStart(ctx context.Context, t Target) error {
	source, err := fsnotify.New()
	if err == nil {
		defer func() { _ = source.Close() }()
		err = source.Add(t.Run)
	}
	if err != nil {
		return fmt.Errorf("cannot wait for the engine's start: %w", err)
	}
	for t.Stopped() {
		select {
		case <-source.Events():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
