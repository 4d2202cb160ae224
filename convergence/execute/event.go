// Package execute carries a plan out: it walks the graph in parallel, one operation is one call of the engine, and it
// decides nothing. What happens is told as events.
package execute

import (
	"time"

	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/plan"
)

// Phase is what happened to an operation.
type Phase string

// The phases. Every operation ends in exactly one of Done, Failed, Skipped and Warned.
const (
	Started  Phase = "started"
	Progress Phase = "progress" // of pulls, builds and hooks
	Noted    Phase = "noted"    // the engine did it and has something to say about it
	Done     Phase = "done"
	Failed   Phase = "failed"
	Skipped  Phase = "skipped"
	Warned   Phase = "warned" // it failed, and that is no failure of the run: the next plan does something else instead, or it was optional
)

// Event says what happened to an operation.
type Event struct {
	Operation plan.Operation
	Phase     Phase
	At        time.Time
	Elapsed   time.Duration            // Done, Failed and Warned: since Started
	Progress  *jsonmessage.JSONMessage // Progress only
	Note      string                   // Noted only
	Err       error                    // Failed, Skipped and Warned: why
}

// Sink receives events, one at a time. It must not block for long. A nil Sink is allowed.
type Sink func(Event)
