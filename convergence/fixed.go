package convergence

import (
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/plan"
)

// Fixed is a plan as it was shown to somebody who agreed to it.
type Fixed struct {
	Plan  string   // its canonical form, see plan.Plan.Canonical
	Later []string // services about which later rounds may decide
}

// ChangedError says that a fixed plan is not, or no longer, what is to be done.
type ChangedError struct {
	Lines []string // of the plan then ("- …") and of the plan now ("+ …"), see plan.Difference
	Begun bool     // the fixed plan was carried out, and this is what came up after it
}

func (e *ChangedError) Error() string {
	problem := "the plan was not carried out: since it was made, what is to be done has changed; plan again"
	if e.Begun {
		problem = "the plan was carried out, and there is more to do that was not part of it; plan again for that"
	}
	lines := e.Lines
	rest := ""
	if len(lines) > mostLines {
		rest = fmt.Sprintf("\n  and %d more", len(lines)-mostLines)
		lines = lines[:mostLines]
	}
	return problem + "\n  " + strings.Join(lines, "\n  ") + rest
}

// mostLines bounds how many lines of a difference are shown.
const mostLines = 40

// Check says, as a *ChangedError, how the plan differs from the fixed one.
func (f *Fixed) Check(p *plan.Plan) error {
	if now := p.Canonical(); now != f.Plan {
		return &ChangedError{Lines: plan.Difference(f.Plan, now)}
	}
	return nil
}

// check compares the plan of a round with what was agreed to: the first is to be the same, later ones, when it has begun, may decide
// about the services that were left open, and do again what was planned if an answer of the engine was lost. A nil Fixed allows
// everything.
func (f *Fixed) check(p *plan.Plan, begun, again bool) error {
	switch {
	case f == nil:
		return nil
	case !begun:
		return f.Check(p)
	}
	var beyond []string
	open := f.openOperations(p)
	if again {
		for _, id := range plan.CanonicalIDs(f.Plan) {
			open[id] = true
		}
	}
	for _, op := range p.Operations {
		if h := op.Head(); !open[h.ID] {
			beyond = append(beyond, strings.TrimSuffix("+ "+h.ID+": "+h.Cause, ": "))
		}
	}
	if len(beyond) > 0 {
		return &ChangedError{Lines: beyond, Begun: true}
	}
	return nil
}

// openOperations are the IDs of the operations that are about the services left open, of waits, and of what is done to networks
// and volumes for those services.
func (f *Fixed) openOperations(p *plan.Plan) map[string]bool {
	open, resources := make(map[string]bool, len(p.Operations)), make(map[string]bool)
	for _, op := range p.Operations {
		h := op.Head()
		open[h.ID] = slices.Contains(f.Later, h.Service) || waits(op)
		resources[h.ID] = isResource(op)
	}
	// An operation stands behind those that it needs, so backwards they come after it.
	for _, op := range slices.Backward(p.Operations) {
		h := op.Head()
		for _, needed := range slices.Concat(h.Needs, h.After) {
			open[needed] = open[needed] || open[h.ID] && resources[needed]
		}
	}
	return open
}

func isResource(op plan.Operation) bool {
	kind := op.Head().Subject.Kind
	return kind == plan.Network || kind == plan.Volume
}

// waits says that the operation changes nothing.
func waits(op plan.Operation) bool {
	switch op.(type) {
	case *plan.WaitHealthy, *plan.WaitCompleted, *plan.MonitorContainer, *plan.Delay, *plan.Gate:
		return true
	}
	return false
}
