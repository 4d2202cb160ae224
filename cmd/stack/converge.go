package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
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
	return convergence.Options{Execute: s.executeOptions(), Lock: s.locker(progress)}
}

// locker keeps two runs on one project apart and tells the user when it has to wait for the other.
func (s *session) locker(progress view.Progress) convergence.Locker {
	return func(ctx context.Context, name string) (func(), error) {
		own, err := launch.Embedded(s.getenv)
		if err != nil {
			return nil, err
		}
		lock, err := launch.LockProject(ctx, own.Run, s.target.Host, name, func(pid int) {
			progress.Text(fmt.Sprintf("another run (process %d) is working on project %s; waiting for it", pid, name))
		})
		if errors.Is(err, os.ErrPermission) && !s.target.Embedded {
			return func() {}, nil // somebody who may not write there has nobody to wait for
		}
		if err != nil {
			return nil, err
		}
		return func() { _ = lock.Release() }, nil
	}
}

// apply makes a plan out of what is there and carries it out. With --dry-run it prints the plan.
func (s *session) apply(ctx context.Context, title string, sc scope, make func(*desired.Project, *state.Project) (*plan.Plan, error)) error {
	progress, err := s.progress(title)
	if err != nil {
		return err
	}
	defer progress.Close()
	d := sc.desired()
	options := s.options(progress)
	unlock, err := options.Lock(ctx, sc.name)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := observe.Project(ctx, s.Engine, sc.name, d)
	if err != nil {
		return err
	}
	p, err := make(d, now)
	if err != nil {
		return err
	}
	if s.global.dryRun {
		fmt.Fprint(s.out, p.Text())
		return nil
	}
	options.Lock = nil
	err = convergence.Apply(ctx, s.Engine, p, options, narrate(ctx, progress).event)
	progress.Close()
	return inOperations(err)
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
