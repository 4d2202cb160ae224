package main

import (
	"context"
	"errors"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/launch"
)

// shortLife is how long an engine lives at least that is worth another start.
const shortLife = time.Second

// revive starts the embedded engine again when it has gone, until the context is done: containers go on without it, but a command
// that stays needs it. An engine that cannot be started, or does not live, is told and left alone.
func (s *session) revive(ctx context.Context, told func(error)) {
	if !s.target.Embedded {
		return
	}
	var began time.Time // of the engine that was started last; zero: by others
	for {
		s.lease.Wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.now().Sub(began) < shortLife {
			told(errors.New("the engine has ended as soon as it was started again, and is not started any more; its log is " + s.target.LogFile()))
			return
		}
		lease, err := launch.Start(ctx, s.target, engineProgram)
		if err != nil {
			if ctx.Err() == nil {
				told(err)
			}
			return
		}
		_ = s.lease.Close() // of an engine that is no more
		s.lease, began = lease, s.now()
	}
}
