package convergence

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"stackrun.dev/stack/convergence/execute"
)

// What the end of a round has interrupted is told from what has failed.
func TestGivenUp(t *testing.T) {
	full := errors.New("the disk is full")
	canceled := fmt.Errorf("cannot start: %w", context.Canceled)
	for _, c := range []struct {
		ended bool
		phase execute.Phase
		err   error
		want  error
	}{
		{true, execute.Failed, canceled, ErrGivenUp},
		{true, execute.Skipped, errors.New("skipped: db failed"), ErrGivenUp},
		{true, execute.Failed, full, full},
		{true, execute.Warned, full, full},
		{true, execute.Done, nil, nil},
		{false, execute.Failed, canceled, canceled},
		{false, execute.Skipped, full, full},
	} {
		ctx, end := context.WithCancel(t.Context())
		if c.ended {
			end()
		}
		givenUp(ctx, func(e execute.Event) {
			if e.Phase != c.phase || !errors.Is(e.Err, c.want) {
				t.Errorf("ended %t, %s with %v is told as %s with %v", c.ended, c.phase, c.err, e.Phase, e.Err)
			}
		})(execute.Event{Phase: c.phase, Err: c.err})
		end()
	}
}
