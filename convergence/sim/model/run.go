package model

import (
	"math/rand/v2"
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// Course says how a plan is carried out. The zero value: all of it, in its order.
type Course struct {
	// Order chooses between operations that may be next. nil: the plan's order.
	Order *rand.Rand

	// Fail says that the operation is not carried out but fails. What needs it is left out, the rest goes on. May be nil.
	Fail func(plan.Operation) bool

	// Lost says that what Fail chooses is carried out all the same, and only its answer is lost.
	Lost bool

	// OnPlan is told each round's plan. May be nil.
	OnPlan func(*plan.Plan)

	// Cancel is after how many operations the run is cancelled; 0 is never.
	Cancel int
}

// Outcome is what came of a plan, in the words of execute.Result.
type Outcome struct {
	Done      map[string]bool
	Fetched   map[string]bool
	Unpulled  map[string]string
	Touched   map[string]bool
	Updated   map[string]bool
	Awaited   map[string]bool
	Given     desired.Given
	Err       error // of the first operation that failed although none had been told to
	Failed    bool  // an operation failed, for whatever reason
	Cancelled bool
}

// walk is a plan on its way.
type walk struct {
	*World
	Course
	plan    *plan.Plan
	out     *Outcome
	index   map[string]int
	waiting []int   // how many others an operation still waits for
	next    [][]int // who waits for it
	lost    []bool  // something that it needs has failed
	ready   []int
	passed  map[string]int // how many failures a gate has let pass
	told    bool           // an operation was told to fail; others may for that reason
}

// Run carries out the plan as the executor does: dependencies first, and what fails takes only those along that need it.
func (w *World) Run(p *plan.Plan, course Course) *Outcome {
	out := &Outcome{Done: map[string]bool{}, Fetched: map[string]bool{}, Unpulled: map[string]string{}, Touched: map[string]bool{},
		Updated: map[string]bool{}, Awaited: map[string]bool{}}
	r := &walk{World: w, Course: course, plan: p, out: out, index: make(map[string]int, len(p.Operations)), passed: map[string]int{}}
	r.prepare()
	for n := 0; len(r.ready) > 0; n++ {
		if course.Cancel > 0 && n == course.Cancel {
			out.Cancelled = true
			break
		}
		r.step()
	}
	w.sort()
	return out
}

func (r *walk) prepare() {
	n := len(r.plan.Operations)
	r.waiting, r.next, r.lost = make([]int, n), make([][]int, n), make([]bool, n)
	for i, op := range r.plan.Operations {
		r.index[op.Head().ID] = i
	}
	for i, op := range r.plan.Operations {
		h := op.Head()
		for _, ids := range [][]string{h.Needs, h.After} {
			for _, id := range ids {
				if j, known := r.index[id]; known {
					r.next[j] = append(r.next[j], i)
					r.waiting[i]++
				}
			}
		}
		if r.waiting[i] == 0 {
			r.ready = append(r.ready, i)
		}
	}
}

// step carries out one of the operations that are ready.
func (r *walk) step() {
	k := 0
	if r.Order != nil {
		k = r.Order.IntN(len(r.ready))
	} else {
		k = slices.Index(r.ready, slices.Min(r.ready))
	}
	i := r.ready[k]
	r.ready = slices.Delete(r.ready, k, k+1)
	op := r.plan.Operations[i]
	failed := r.lost[i] || !r.carryOut(op)
	for _, j := range r.next[i] {
		if failed && slices.Contains(r.plan.Operations[j].Head().Needs, op.Head().ID) {
			r.lost[j] = true
		}
		if r.waiting[j]--; r.waiting[j] == 0 {
			r.ready = append(r.ready, j)
		}
	}
}

func (r *walk) carryOut(op plan.Operation) bool {
	var err error
	switch {
	case r.Fail != nil && r.Fail(op), r.shut(op):
		r.out.Failed, r.told = true, true
		if _, gate := op.(*plan.Gate); r.Lost && !gate {
			_ = r.Do(op) // nobody is told what came of it
		}
		return false
	default:
		err = r.Do(op)
	}
	if pull, ok := op.(*plan.PullImage); ok && pull.OrBuild && err != nil {
		r.out.Unpulled[pull.Ref], err = err.Error(), nil
	}
	if err != nil {
		r.out.Failed = true
		if r.out.Err == nil && !r.told {
			r.out.Err = err
		}
		return false
	}
	r.remember(op)
	return true
}

// shut says that a gate does not let through: more have failed than may.
func (r *walk) shut(op plan.Operation) bool {
	gate, ok := op.(*plan.Gate)
	if !ok || len(gate.Of) == 0 {
		return false
	}
	failed := 0
	for _, id := range gate.Of {
		if n, isGate := r.passed[id]; isGate {
			failed += n
		} else if !r.out.Done[id] {
			failed++
		}
	}
	r.passed[gate.ID] = failed
	return failed > gate.MayFail
}

func (r *walk) remember(op plan.Operation) {
	r.out.Done[op.Head().ID] = true
	switch op := op.(type) {
	case *plan.PullImage:
		if r.out.Unpulled[op.Ref] == "" {
			r.out.Fetched[op.Ref] = true
		}
	case *plan.BuildImage:
		r.out.Fetched[op.Ref] = true
	case *plan.CreateContainer:
		r.out.Touched[op.Name] = true
	case *plan.RenameContainer:
		if r.out.Touched[op.Container] {
			r.out.Touched[op.Name] = true
		}
	case *plan.StartContainer:
		r.out.Touched[op.Subject.Name] = true
	case *plan.RestartContainer:
		r.out.Touched[op.Subject.Name] = true
	case *plan.UpdateContainer:
		r.out.Updated[op.Subject.Name] = true
	case *plan.WaitHealthy:
		r.out.Awaited[op.Subject.Name] = true
	case *plan.RunProvider, *plan.ServeModel:
		r.out.Given = r.out.Given.Merge(given(op))
	}
}
