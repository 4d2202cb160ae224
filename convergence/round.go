package convergence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// round is one look at a kept project, and what is done because of it.
type round struct {
	engine  engine.Engine
	options KeepOptions
	wish    *desired.Project
	start   bool
	news    bool
	board   *board
	sink    execute.Sink
}

// outcome is what a round has found.
type outcome struct {
	wish        *desired.Project
	news        bool // of that wish
	err         error
	fault       string // what the round panicked with, and where
	interrupted bool   // by a newer wish, or by the end
	down        bool   // the project was taken down
	given       desired.Given
	health      map[string]state.Health // of the containers that are to be restarted when they are unhealthy; nil if not seen
	restarted   map[string]bool         // those of them that were
}

// round prepares a round at the given time.
func (k *keeper) round(now time.Time) *round {
	r := &round{engine: k.engine, options: k.options, wish: k.wish, start: k.start, news: k.news, board: k.board}
	r.options.Up.Given, r.options.Up.Fetched, r.options.Up.Unhealthy = k.given, maps.Clone(k.fetched), k.due(now)
	r.options.Up.Overtaken = true
	r.sink = k.board.watch(k.sink)
	inner := k.options.OnPlan
	r.options.OnPlan = func(p *plan.Plan) {
		k.board.working()
		if inner != nil {
			inner(p)
		}
	}
	return r
}

func (r *round) run(ctx context.Context) (out outcome) {
	defer func() {
		if fault := recover(); fault != nil {
			out = outcome{fault: fmt.Sprintf("%v\n%s", fault, debug.Stack())}
		}
	}()
	r.sink = givenUp(ctx, r.sink)
	out = r.locked(ctx)
	out.wish, out.news = r.wish, r.news
	out.interrupted = out.err != nil && ctx.Err() != nil
	return out
}

// givenUp is the sink, which is told of what the end of the context has interrupted that it was given up.
func givenUp(ctx context.Context, sink execute.Sink) execute.Sink {
	return func(e execute.Event) {
		left := e.Phase == execute.Skipped || e.Phase == execute.Failed && errors.Is(e.Err, context.Canceled)
		if left && ctx.Err() != nil {
			e.Err = ErrGivenUp
		}
		sink(e)
	}
}

func (r *round) locked(ctx context.Context) outcome {
	unlock, err := r.options.lock(ctx, r.wish.Name)
	if err != nil {
		return outcome{err: err}
	}
	defer unlock()
	out := outcome{given: r.options.Up.Given}
	wish, services := r.wish, r.options.Up.Services
	if r.options.Intent != nil {
		stopped, down := r.options.Intent()
		if down {
			return outcome{down: true}
		}
		wish, services = without(wish, stopped), others(services, stopped)
		if len(services) == 0 && len(r.options.Up.Services) > 0 {
			return out
		}
	}
	now, err := observe.Project(ctx, r.engine, wish.Name, wish)
	if err != nil {
		return outcome{err: err}
	}
	up := r.options.Up
	up.Services = services
	up.RemoveOrphans = up.RemoveOrphans && r.news // at other times, what is no service's may be just about to be used
	if !r.start {
		up.Touched = names(now)
	}
	out.health = healths(wish, now)
	p, err := plan.Up(wish, now, up)
	if err != nil || p.Empty() && !r.news { // a round before this one may not have lived to tell that the news has come true
		out.err = err
		return out
	}
	out.restarted = up.Unhealthy
	o := r.options.Options
	o.Up, o.Lock = up, nil // it is held
	if !r.news || wish != r.wish {
		o.Changing, o.Converged = nil, nil
	}
	result, err := Run(ctx, r.engine, wish, o, r.sink)
	out.err = err
	if result != nil {
		out.given = out.given.Merge(result.Given)
	}
	return out
}

// names are the containers that are there. What they have done since they were made is their own affair.
func names(s *state.Project) map[string]bool {
	out := make(map[string]bool, len(s.Containers))
	for _, c := range s.Containers {
		out[c.Name] = true
	}
	return out
}

// healths are those of the running containers that are to be restarted when they are unhealthy.
func healths(d *desired.Project, s *state.Project) map[string]state.Health {
	out := make(map[string]state.Health)
	for i := range d.Services {
		if !d.Services[i].RestartUnhealthy {
			continue
		}
		for _, c := range s.Of(d.Services[i].Name) {
			if c.Status == state.Running {
				out[c.Name] = c.Health
			}
		}
	}
	return out
}

// without is the project as if the services were kept out by a profile.
func without(d *desired.Project, services []string) *desired.Project {
	if len(services) == 0 {
		return d
	}
	less := *d
	less.Services = slices.DeleteFunc(slices.Clone(d.Services), func(s desired.Service) bool { return slices.Contains(services, s.Name) })
	less.Disabled = slices.Concat(d.Disabled, services)
	return &less
}

func others(services, without []string) []string {
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool { return slices.Contains(without, name) })
}
