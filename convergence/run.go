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
	"stackrun.dev/stack/convergence/state"
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

	// Changing is called once, while the lock is held, before the first operation of the run, with what is desired. An error ends
	// the run. May be nil.
	Changing func(*desired.Project) error

	// Converged is told, while the lock is held, that the project has become as desired. May be nil.
	Converged func(Outcome)

	// Fixed is a plan that was made before and must still be what is to be done. nil: whatever is planned is done.
	Fixed *Fixed
}

// Outcome is what a run has brought a project to.
type Outcome struct {
	Desired *desired.Project
	Up      plan.UpOptions    // without what rounds have found out
	Images  map[string]string // IDs of its images, by reference
	Running map[string]string // IDs of the images of containers that are there, by service
	Given   desired.Given     // what providers and model runners have said
	Changed bool              // the run has changed something
}

// Locker takes the lock of a project, waiting until it is free or the context is done, and gives it back by unlock. How and
// where the lock is kept, and telling the user that there is something to wait for, is the caller's business.
type Locker func(ctx context.Context, project string) (unlock func(), err error)

// Result is what a run did.
type Result struct {
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
// (execute.Failure), says why no plan can be made, is a *ChangedError, or is the context's.
func Run(ctx context.Context, e engine.Engine, d *desired.Project, o Options, sink execute.Sink) (*Result, error) {
	unlock, err := o.lock(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &run{engine: e, desired: d, options: o, up: o.Up, sink: sink, out: &Result{}}
	r.up.Fetched, r.up.Unpulled, r.up.Touched = maps.Clone(r.up.Fetched), maps.Clone(r.up.Unpulled), maps.Clone(r.up.Touched)
	r.up.Updated, r.up.Awaited = maps.Clone(r.up.Updated), maps.Clone(r.up.Awaited)
	for range maxRounds {
		if over, err := r.round(ctx); over || err != nil {
			return r.out, err
		}
	}
	return r.out, errors.New("cannot converge: the project still differs after " + fmt.Sprint(maxRounds) + " rounds; something else is changing it")
}

// run is a call of Run.
type run struct {
	engine  engine.Engine
	desired *desired.Project
	options Options
	up      plan.UpOptions // with what rounds have found out
	sink    execute.Sink
	out     *Result

	setbacks setbacks
}

// round observes, plans, and carries the plan out. It is over when there is nothing to do.
func (r *run) round(ctx context.Context) (over bool, err error) {
	s, p, err := look(ctx, r.engine, r.desired, r.up)
	if r.setbacks.unseen(ctx, err) {
		return false, nil
	}
	if err := r.setbacks.remain(p, err); err != nil {
		return false, err
	}
	if err := r.options.Fixed.check(p, r.out.Changed, r.setbacks.count > 0); err != nil {
		return false, err
	}
	r.out.Notes = p.Notes
	if p.Empty() {
		r.converged(s)
		return true, nil
	}
	if r.options.Changing != nil && !r.out.Changed {
		if err := r.options.Changing(r.desired); err != nil {
			return false, err
		}
	}
	if r.options.OnPlan != nil {
		r.options.OnPlan(p)
	}
	done := execute.Run(ctx, r.engine, p, r.options.Execute, r.sink)
	r.out.Changed = true
	r.out.Restored = false
	if err := done.Err(); err != nil {
		restored, restoreErr := r.options.restore(ctx, r.engine, p, done.Done, r.sink)
		r.out.Restored = restored
		if err = errors.Join(err, updateErrors(ctx, p, done, restoreErr), restoreErr); !r.setbacks.forgive(ctx, done, err) {
			return false, err
		}
	}
	r.up.Fetched, r.up.Touched = merged(r.up.Fetched, done.Fetched), merged(r.up.Touched, done.Touched)
	r.up.Updated, r.up.Awaited = merged(r.up.Updated, done.Updated), merged(r.up.Awaited, done.Awaited)
	r.up.Unpulled, r.up.Given = merged(r.up.Unpulled, done.Unpulled), r.up.Given.Merge(done.Given)
	r.out.Given = r.up.Given
	return false, nil
}

// converged tells whoever wants to know that the state is as desired.
func (r *run) converged(s *state.Project) {
	if r.options.Converged == nil {
		return
	}
	out := Outcome{
		Desired: r.desired, Up: r.options.Up, Given: r.up.Given, Changed: r.out.Changed,
		Images: make(map[string]string, len(s.Images)), Running: make(map[string]string, len(r.desired.Services)),
	}
	for ref, image := range s.Images {
		out.Images[ref] = image.ID
	}
	for _, c := range s.Containers {
		if !c.OneOff {
			out.Running[c.Service] = c.ImageID
		}
	}
	r.options.Converged(out)
}

// giveUpTime bounds what a run still does after it was cancelled, and lateTime after its deadline.
const (
	giveUpTime = 15 * time.Second
	lateTime   = time.Minute
)

// restore carries out what is left to do after a failure, see plan.Restore and plan.GiveUp. What has not come about by a deadline
// has failed.
func (o *Options) restore(ctx context.Context, e engine.Engine, p *plan.Plan, done map[string]bool, sink execute.Sink) (restored bool, err error) {
	back := plan.Restore(p, done)
	if ctx.Err() != nil {
		limit := lateTime
		if interrupted(ctx) {
			back, limit = plan.GiveUp(p, done), giveUpTime
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), limit)
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

// interrupted says that somebody wants the run to end; a deadline that has passed is none of that.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded)
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
	_, p, err := look(ctx, e, d, o)
	return p, err
}

// look observes and plans.
func look(ctx context.Context, e observe.Engine, d *desired.Project, o plan.UpOptions) (*state.Project, *plan.Plan, error) {
	s, err := observe.Project(ctx, e, d.Name, d)
	if err != nil {
		return nil, nil, err
	}
	if hands, err := handsOver(ctx, e, d); err != nil {
		return nil, nil, err
	} else if hands {
		o.Handover = true
	}
	p, err := plan.Up(d, s, o)
	return s, p, err
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
	s, err := observe.Listed(ctx, e, name, d)
	if err != nil {
		return nil, err
	}
	p := plan.Down(d, s, down)
	out := &Result{Notes: p.Notes, Changed: !p.Empty()}
	if o.OnPlan != nil && out.Changed {
		o.OnPlan(p)
	}
	return out, execute.Run(ctx, e, p, o.Execute, sink).Err()
}

func (o *Options) lock(ctx context.Context, project string) (func(), error) {
	if o.Lock == nil {
		return func() {}, nil
	}
	return o.Lock(ctx, project)
}
