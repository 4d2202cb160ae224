// Package plan compares what is desired with what is there, and says what is to be done: a graph of operations, each with
// its cause. It is pure: no calls, no clock, no randomness; equal inputs give equal bytes.
package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"stackrun.dev/stack/internal/dag"
)

// Plan is a graph of operations. Operations comes sorted so that an operation stands behind everything it needs.
type Plan struct {
	Project    string
	Operations []Operation
	Notes      []string // what the user should know and nothing is done about, for example orphans

	// Undecided says that only the outcome of the operations tells what else there is to do: whether an image that is
	// built or pulled again is another one than before, or what a provider says. Observe and plan again after them.
	Undecided bool

	// Later are the services that the next plan decides about, sorted; none unless Undecided.
	Later []string
}

// Empty says that there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Operations) == 0 }

// Graph is the plan's graph, by the operations' IDs.
func (p *Plan) Graph() *dag.Graph {
	g := dag.WithSize(len(p.Operations))
	for _, op := range p.Operations {
		h := op.Head()
		g.Add(h.ID, h.Needs...)
		g.AddAfter(h.ID, h.After...)
	}
	return g
}

// Text is the plan as lines, the same for the same plan.
func (p *Plan) Text() string {
	var b strings.Builder
	for _, op := range p.Operations {
		h := op.Head()
		b.WriteString(h.ID)
		if h.Cause != "" {
			b.WriteString(": " + h.Cause)
		}
		b.WriteByte('\n')
		if len(h.Needs) > 0 {
			b.WriteString("  after " + strings.Join(h.Needs, ", ") + "\n")
		}
		if len(h.After) > 0 {
			b.WriteString("  after, also if it fails, " + strings.Join(h.After, ", ") + "\n")
		}
	}
	for _, note := range p.Notes {
		b.WriteString("note: " + note + "\n")
	}
	return b.String()
}

// MarshalJSON writes each operation with its kind and with what it is made of. There are no secrets in it: of variables there
// are the names.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type operation struct {
		Kind      string    `json:"kind"`
		Operation Operation `json:"operation"`
		With      any       `json:"with,omitempty"`
	}
	ops := make([]operation, len(p.Operations))
	for i, op := range p.Operations {
		ops[i] = operation{KindOf(op), op, shown(op)}
	}
	return json.Marshal(struct {
		Version    int         `json:"version"` // of this form
		Project    string      `json:"project"`
		Operations []operation `json:"operations"`
		Notes      []string    `json:"notes,omitempty"`
		Undecided  bool        `json:"undecided,omitempty"`
		Later      []string    `json:"later,omitempty"`
	}{1, p.Project, ops, p.Notes, p.Undecided, p.Later})
}

// KindOf is the operation's kind, for example "CreateContainer".
func KindOf(op Operation) string { return reflect.TypeOf(op).Elem().Name() }

// sort orders the operations and their needs. A cycle is a fault of this package.
func (p *Plan) sort() *Plan {
	byID := make(map[string]Operation, len(p.Operations))
	for _, op := range p.Operations {
		h := op.Head()
		slices.Sort(h.Needs)
		h.Needs = slices.Compact(h.Needs)
		slices.Sort(h.After)
		h.After = slices.Compact(h.After)
		byID[h.ID] = op
	}
	order, err := p.Graph().Sort()
	if err != nil {
		panic(fmt.Sprintf("plan: operations that need each other: %v", err))
	}
	for i, id := range order {
		p.Operations[i] = byID[id]
	}
	slices.Sort(p.Notes)
	slices.Sort(p.Later)
	return p
}
