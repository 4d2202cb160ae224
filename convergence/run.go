package convergence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// Options are the choices of a run.
type Options struct {
	Up      plan.UpOptions
	Execute execute.Options

	// Lock keeps two runs on one project apart. nil: no lock.
	Lock Locker

	// OnPlan is told each round's plan before it is executed. May be nil.
	OnPlan func(*plan.Plan)

	// Converged is told, while the lock is held, that the project has become as desired. May be nil.
	Converged func(Outcome)

	// Fixed is a plan that was made before and must still be what is to be done. nil: whatever is planned is done.
	Fixed *Fixed
}

// Outcome is what a run has brought a project to.
type Outcome struct {
	Desired *desired.Project
	Up      plan.UpOptions    // without what rounds have found out
	Images  map[string]string // IDs of the images that it runs, by reference
	Changed bool              // the run has changed something
}

// Fixed is a plan as it was shown to somebody who agreed to it.
type Fixed struct {
	Plan  string   // its canonical form, see plan.Plan.Canonical
	Later []string // services about which later rounds may decide
}

// Locker takes the lock of a project, waiting until it is free or the context is done, and gives it back by unlock. How and
// where the lock is kept, and telling the user that there is something to wait for, is the caller's business.
type Locker func(ctx context.Context, project string) (unlock func(), err error)

// Result is what a run did.
type Result struct {
	Rounds  int      // plans that were carried out
	Changed bool     // at least one operation was carried out
	Notes   []string // of the last plan

	// Given is what providers and model runners have said, for plans that follow.
	Given desired.Given

	// Restored says that after a failure containers were brought back that ran before.
	Restored bool
}

// maxRounds bounds a run. Two rounds do it; a third is for images whose outcome decides about containers. More means that
// something else keeps changing the project.
const maxRounds = 8

// Run brings the project to its desired state. It returns when a plan is empty. The error joins what failed
// (execute.Failure), says why no plan can be made, or is the context's.
func Run(ctx context.Context, e engine.Engine, d *desired.Project, o Options, sink execute.Sink) (*Result, error) {
	unlock, err := o.lock(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := &Result{}
	up := o.Up
	up.Fetched, up.Unpulled, up.Touched = maps.Clone(up.Fetched), maps.Clone(up.Unpulled), maps.Clone(up.Touched)
	for range maxRounds {
		p, err := Plan(ctx, e, d, up)
		if err != nil {
			return out, err
		}
		out.Notes = p.Notes
		if p.Empty() {
			return out, nil
		}
		if o.OnPlan != nil {
			o.OnPlan(p)
		}
		done := execute.Run(ctx, e, p, o.Execute, sink)
		out.Rounds++
		out.Changed = true
		if err := done.Err(); err != nil {
			restored, restoreErr := o.restore(ctx, e, p, done.Done, sink)
			out.Restored = restored
			return out, errors.Join(err, restoreErr)
		}
		up.Fetched, up.Touched = merged(up.Fetched, done.Fetched), merged(up.Touched, done.Touched)
		up.Unpulled, up.Given = merged(up.Unpulled, done.Unpulled), up.Given.Merge(done.Given)
		out.Given = up.Given
	}
	return out, errors.New("cannot converge: the project still differs after " + fmt.Sprint(maxRounds) + " rounds; something else is changing it")
}

// giveUpTime bounds what a run still does after it was cancelled.
const giveUpTime = 15 * time.Second

// restore carries out what is left to do after a failure, see plan.Restore and plan.GiveUp.
func (o *Options) restore(ctx context.Context, e engine.Engine, p *plan.Plan, done map[string]bool, sink execute.Sink) (restored bool, err error) {
	back := plan.Restore(p, done)
	if ctx.Err() != nil {
		back = plan.GiveUp(p, done)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), giveUpTime)
		defer cancel()
	}
	if back.Empty() {
		return false, nil
	}
	if o.OnPlan != nil {
		o.OnPlan(back)
	}
	return true, execute.Run(ctx, e, back, o.Execute, sink).Err()
}

func merged[V any](a, b map[string]V) map[string]V {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}

// Plan observes and says what Run would do first.
func Plan(ctx context.Context, e observe.Engine, d *desired.Project, o plan.UpOptions) (*plan.Plan, error) {
	s, err := observe.Project(ctx, e, d.Name, d)
	if err != nil {
		return nil, err
	}
	return plan.Up(d, s, o)
}

// Apply carries out one plan that was made otherwise: to take the project down, to stop it, and so on.
func Apply(ctx context.Context, e engine.Engine, p *plan.Plan, o Options, sink execute.Sink) error {
	unlock, err := o.lock(ctx, p.Project)
	if err != nil {
		return err
	}
	defer unlock()
	done := execute.Run(ctx, e, p, o.Execute, sink)
	if err := done.Err(); err != nil {
		_, restoreErr := o.restore(ctx, e, p, done.Done, sink)
		return errors.Join(err, restoreErr)
	}
	return nil
}

// Down takes a project down. d may be nil when there is no Compose file; name is the project's.
func Down(ctx context.Context, e engine.Engine, name string, d *desired.Project, down plan.DownOptions, o Options, sink execute.Sink) (*Result, error) {
	unlock, err := o.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := observe.Project(ctx, e, name, d)
	if err != nil {
		return nil, err
	}
	p := plan.Down(d, s, down)
	out := &Result{Notes: p.Notes, Changed: !p.Empty()}
	if o.OnPlan != nil && out.Changed {
		o.OnPlan(p)
	}
	out.Rounds = len(p.Operations[:min(1, len(p.Operations))])
	return out, execute.Run(ctx, e, p, o.Execute, sink).Err()
}

func (o *Options) lock(ctx context.Context, project string) (func(), error) {
	if o.Lock == nil {
		return func() {}, nil
	}
	return o.Lock(ctx, project)
}
