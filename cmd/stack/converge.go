package main

import (
	"context"
	"fmt"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
)

// withServices checks the names of services, and switches on those that a profile keeps out: their hooks and providers count.
func (sc scope) withServices(names []string) (scope, error) {
	if err := sc.checkServices(names, nil); err != nil || sc.project == nil {
		return sc, err
	}
	enabled, err := sc.project.Enable(names)
	sc.project = enabled
	return sc, err
}

// options are the choices that every convergence is run with.
func (s *session) options(progress view.Progress) convergence.Options {
	return convergence.Options{Execute: s.executeOptions(), Lock: s.locker(progress.Text)}
}

// apply makes the plan of a command that changes what containers do, and carries it out. With --dry-run it prints the plan.
func (s *session) apply(ctx context.Context, title string, sc scope, o plan.LifecycleOptions, make planner) error {
	if s.global.dryRun {
		p, err := s.planned(ctx, sc, o, make)
		if err == nil {
			fmt.Fprint(s.out, p.Text())
		}
		return err
	}
	progress, err := s.progress(title)
	if err != nil {
		return err
	}
	defer progress.Close()
	options := s.options(progress)
	unlock, err := options.Lock(ctx, sc.name)
	if err != nil {
		return err
	}
	defer unlock()
	options.Lock = nil
	p, err := s.planned(ctx, sc, o, make)
	if err != nil {
		return err
	}
	if intent := intentOf(title, o, p); intent != nil {
		if err := s.intend(ctx, sc.name, intent); err != nil {
			return err
		}
	}
	err = convergence.Apply(ctx, s.Engine, p, options, narrate(ctx, progress).event)
	progress.Close()
	return inOperations(err)
}

// planned observes the project and makes the plan.
func (s *session) planned(ctx context.Context, sc scope, o plan.LifecycleOptions, make planner) (*plan.Plan, error) {
	d := sc.desired()
	now, err := observe.Listed(ctx, s.Engine, sc.name, d)
	if err != nil {
		return nil, err
	}
	return make(d, now, o)
}

// desired is what the project wants, as far as that is needed for orders and names: what cannot be carried out does not
// keep anybody from stopping things. It is nil when only the project's name is known.
func (sc scope) desired() *desired.Project {
	if sc.project == nil {
		return nil
	}
	d, _, err := desired.FromProject(sc.project, desired.Input{Separator: sc.separator})
	if err != nil {
		return nil
	}
	return d
}

// progress shows progress on standard error, as --progress says.
func (a *app) progress(title string) (view.Progress, error) {
	style, err := a.style(a.err)
	if err != nil {
		return nil, err
	}
	p, err := view.NewProgress(a.global.progress, title, a.err, style)
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}
