package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/records"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/record"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

func newRollback(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback [OPTIONS]",
		Short: "Bring the project back to its state before the last up",
		Long: "The state is the last one but one that up has brought the project to from this machine, with the images of then; " +
			"files are read for the project's name only, and not at all with --project-name. If the last up has failed on its way, it is the one that up began with. Rolled back twice, the " +
			"project is where it was. What is in volumes stays as it is, and the next up goes to what the files say. down forgets " +
			"both states",
		Args: cobra.NoArgs,
	}
	timeout := timeoutFlag(cmd, "Seconds until a container is killed that is stopped (default: its own, or 10)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		name, err := a.projectName(ctx)
		if err != nil {
			return err
		}
		return a.with(ctx, func(s *session) error { return s.rollback(ctx, name, plan.UpOptions{Timeout: timeout()}) })
	}
	return cmd
}

// projectName is the name of the project that is meant. Its files are read only if nothing else tells.
func (a *app) projectName(ctx context.Context) (string, error) {
	if name := cmp.Or(a.global.projectName, a.getenv("COMPOSE_PROJECT_NAME")); name != "" {
		return name, nil
	}
	sc, err := a.scope(ctx)
	if err != nil {
		hint := project.Warning{Text: "only the project's name is needed: with --project-name NAME its files are not read"}
		return "", errors.Join(a.warn([]project.Warning{hint}), err)
	}
	return sc.name, nil
}

func (s *session) rollback(ctx context.Context, name string, o plan.UpOptions) error {
	store, err := s.records(ctx, name)
	if err != nil {
		return err
	}
	if s.global.dryRun {
		_, d, err := s.back(ctx, store, name)
		if err == nil {
			_, err = s.showPlan(ctx, d, o, "text")
		}
		return err
	}
	return s.alone(ctx, "rollback", name, func(progress view.Progress) error {
		w, d, err := s.back(ctx, store, name)
		if err != nil {
			return err
		}
		w.announce(progress)
		return s.bring(ctx, upRun{title: "rollback", desired: d, options: o, held: progress, adjust: func(o *convergence.Options) {
			o.Changing = func(*desired.Project) error {
				return store.Begin(records.Attempt{At: s.now(), Services: w.others, Rollback: w.turns})
			}
			o.Converged = func(convergence.Outcome) { w.arrived(store, progress) }
		}})
	})
}

// alone brings a project to a state that may be another one than that of its files, with the project's lock. Nobody keeps it as
// its files say then.
func (s *session) alone(ctx context.Context, title, name string, bring func(view.Progress) error) error {
	progress, err := s.progress(title)
	if err != nil {
		return err
	}
	defer progress.Close()
	unlock, err := s.locker(progress.Text)(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := bring(progress); err != nil {
		return err
	}
	return s.letGo(ctx, name)
}

// back is the way of a rollback and what the project is to be in the end.
func (s *session) back(ctx context.Context, store records.Store, name string) (*way, *desired.Project, error) {
	w, err := s.wayBack(ctx, store, name)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.stateOf(ctx, w)
	s.recall(w.to)
	return w, d, err
}

// way is where a rollback goes.
type way struct {
	to     *record.Record
	turns  bool     // to the previous state, which changes places with the current one; else to the current one
	others []string // services that the project may have by now
}

// wayBack finds the state before the last run: the current one if that run did not come to its end, unless it has only tried to
// have that one again.
func (s *session) wayBack(ctx context.Context, store records.Store, name string) (*way, error) {
	attempt, err := store.Attempt()
	if err != nil {
		return nil, err
	}
	current, err := store.Current()
	if err != nil {
		return nil, err
	}
	if current == nil {
		return nil, engine.Errorf(engine.ErrNotFound, "cannot roll back project %s: no state of it is known here, because no up has succeeded since it was made", name)
	}
	w := &way{to: current}
	if attempt != nil {
		w.others = attempt.Services
	}
	failed := attempt != nil && !attempt.Rollback
	if failed && (!attempt.Repairs(current) || s.moved(ctx, current)) {
		return w, nil
	}
	previous, err := store.Previous()
	switch {
	case err != nil:
		return nil, err
	case previous == nil && failed:
		return w, nil
	case previous == nil:
		return nil, engine.Errorf(engine.ErrNotFound, "cannot roll back project %s: it is in the first state that is known here", name)
	}
	for _, s := range current.Desired.Services {
		w.others = append(w.others, s.Name)
	}
	w.to, w.turns = previous, true
	return w, nil
}

// moved says that an image of the state has another ID by now, so that whoever wants it again gets another one.
func (s *session) moved(ctx context.Context, state *record.Record) bool {
	for _, image := range state.Uses() {
		if found, err := s.ImageInspect(ctx, image.Ref); err != nil || found.ID != image.ID {
			return true
		}
	}
	return false
}

// announce says which state it is.
func (w *way) announce(progress view.Progress) {
	text := fmt.Sprintf("project %s returns to its state of %s", w.to.Desired.Name, w.to.At.Local().Format(time.DateTime))
	if !w.turns {
		text += ", in which the last run had found it"
	}
	progress.Text(text)
}

// arrived notes that the project is in the state.
func (w *way) arrived(store records.Store, progress view.Progress) {
	err := store.Settle()
	if w.turns {
		err = store.Turn(w.to)
	}
	if err != nil {
		progress.Text("warning: " + err.Error())
	}
}

// stateOf is the project of the state, with the images that it had. One that is gone is an error.
func (s *session) stateOf(ctx context.Context, w *way) (*desired.Project, error) {
	now := make(map[string]string)
	var errs []error
	for _, image := range w.to.Uses() {
		_, err := s.ImageInspect(ctx, image.ID)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			errs = append(errs, engine.Errorf(engine.ErrNotFound, "cannot roll back project %s: image %s of then (%s), of which service %s was made, is not there any more", w.to.Desired.Name, image.Ref, image.ID, image.Service))
			continue
		case err != nil:
			return nil, err
		}
		found, err := s.ImageInspect(ctx, image.Ref)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, err
		}
		now[image.Ref] = found.ID
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return record.Without(w.to.Pinned(now), w.others), nil
}
