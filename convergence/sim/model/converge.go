package model

import (
	"errors"
	"fmt"
	"maps"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// MaxRounds is how many plans a run may need: those that pull, build and ask providers, and the last one, which is empty.
const MaxRounds = 4

// Rounds is what Up did.
type Rounds struct {
	Plans   []*plan.Plan // that were carried out
	Stopped bool         // by a failure or a cancellation that the course asked for
}

// Up is convergence.Run in the model: it plans and carries out until nothing is left to do. The course is that of the first
// plan, and what a failure leaves behind is put in order. An error is a plan that cannot be made, an operation that was refused
// though nothing was to fail, or that no end came.
func (w *World) Up(d *desired.Project, o plan.UpOptions, course Course) (*Rounds, error) {
	out := &Rounds{}
	o.Fetched, o.Unpulled, o.Touched = maps.Clone(o.Fetched), maps.Clone(o.Unpulled), maps.Clone(o.Touched)
	o.Updated, o.Awaited = maps.Clone(o.Updated), maps.Clone(o.Awaited)
	for range MaxRounds {
		p, err := plan.Up(d, w.State, o)
		if err != nil || p.Empty() {
			return out, err
		}
		if course.OnPlan != nil {
			course.OnPlan(p)
		}
		done := w.Run(p, course)
		out.Plans = append(out.Plans, p)
		switch {
		case done.Err != nil:
			return out, fmt.Errorf("%w\n%s", done.Err, p.Text())
		case done.Failed || done.Cancelled:
			out.Stopped = true
			err := w.restore(p, done)
			w.Settle()
			if course.Lost {
				err = nil // what is put in order may be so already
			}
			return out, err
		}
		o.Fetched, o.Unpulled = merged(o.Fetched, done.Fetched), merged(o.Unpulled, done.Unpulled)
		o.Updated, o.Awaited = merged(o.Updated, done.Updated), merged(o.Awaited, done.Awaited)
		o.Touched, o.Given = merged(o.Touched, done.Touched), o.Given.Merge(done.Given)
		course = Course{Order: course.Order, OnPlan: course.OnPlan}
		w.Settle()
	}
	p, err := plan.Up(d, w.State, o)
	if err == nil && !p.Empty() {
		err = errors.New("it does not end; next would be\n" + p.Text())
	}
	return out, err
}

// restore puts in order what a run leaves behind that did not come to its end.
func (w *World) restore(p *plan.Plan, done *Outcome) error {
	back := plan.Restore(p, done.Done)
	if done.Cancelled {
		back = plan.GiveUp(p, done.Done)
	}
	if out := w.Run(back, Course{}); out.Err != nil && !errors.Is(out.Err, errOthers) { // which have got on meanwhile, or failed
		return fmt.Errorf("cannot put in order what is left: %w\n%s\nafter\n%s", out.Err, back.Text(), p.Text())
	}
	return nil
}

func merged[V any](a, b map[string]V) map[string]V {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}
