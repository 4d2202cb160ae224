package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

type upOptions struct {
	upFlags
	attachFlags
	menuFlags
	watchFlags

	detach      bool
	watch       bool
	waitSeconds int
	planFile    string
}

func newUp(a *app) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [OPTIONS] [SERVICE...]",
		Short: "Bring the project up, or to its changed state",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.planFile == "" {
				return runUp(cmd.Context(), a, &o, args)
			}
			if err := checkWithPlan(cmd, args); err != nil {
				return err
			}
			return runUpPlan(cmd.Context(), a, &o)
		},
	}
	o.declare(a, cmd)
	o.declareDependencies(cmd)
	o.declareQuiet(cmd)
	o.declareYes(cmd)
	o.declareAttach(cmd)
	o.declareMenu(a, cmd)
	o.declarePoll(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "Carry changed files into the containers, as stack watch does; images of services with build and develop are built first")
	f.BoolVar(&o.quietBuild, "quiet-build", false, "Do not show what builds print")
	f.BoolVarP(&o.detach, "detach", "d", false, "Leave the containers running and return")
	o.declareKeep(cmd)
	f.BoolVar(&o.options.NoStart, "no-start", false, "Create containers and do not start them")
	f.BoolVar(&o.options.Wait, "wait", false, "Return when everything runs and is healthy; implies --detach")
	f.StringVar(&o.planFile, "plan", "", "Carry out the plan in this file, made by plan --out, or nothing if it is no longer what is to be done; implies --detach")
	f.IntVar(&o.waitSeconds, "wait-timeout", 0, "How many seconds to wait at most, from when the images are there")
	return cmd
}

func runUp(ctx context.Context, a *app, o *upOptions, services []string) error {
	options, err := o.resolve(a, services)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := o.checkPoll(services); err != nil {
		return err
	}
	p, d, err := a.wanted(ctx, services, o.scale)
	if err != nil {
		return err
	}
	if err := a.trust(ctx, p, o.yes); err != nil {
		return err
	}
	ctx, clock, cancel := newWaitClock(ctx, o.waitSeconds)
	defer cancel()
	return a.with(ctx, func(s *session) error {
		s.clock = clock
		if err := s.consent(ctx, d, &options, &o.upFlags); err != nil {
			return err
		}
		switch {
		case a.global.dryRun:
			return s.showUp(ctx, p, d, options, o)
		case o.detach || options.Wait || options.NoStart:
			if err := s.checkKeep(p, o.upFlags); err != nil {
				return err
			}
			return s.up(ctx, "up", d, options, o.upFlags)
		}
		return s.upAttached(ctx, p, d, options, o)
	})
}

// showUp says what would be done.
func (s *session) showUp(ctx context.Context, p *project.Project, d *desired.Project, options plan.UpOptions, o *upOptions) error {
	if o.watch {
		buildFirst(p, d)
	}
	if _, err := s.showPlan(ctx, d, options, "text"); err != nil || !o.watch {
		return err
	}
	return s.showRules(&wished{project: p, plan: options})
}

func (o *upOptions) check() error {
	attached := o.abortOnExit || o.abortOnFailure || o.exitCodeFrom != "" || len(o.attach) > 0
	switch {
	case (o.detach || o.options.Wait) && attached:
		return usagef("--detach and --wait cannot go together with flags about attached containers")
	case o.abortOnExit && o.abortOnFailure:
		return usagef("--abort-on-container-exit and --abort-on-container-failure cannot go together")
	case o.keep && (!o.detach && !o.options.Wait || o.options.NoStart):
		return usagef("--keep goes with --detach, and not with --no-start; in the foreground up keeps the project anyway")
	case o.watch && (o.detach || o.options.Wait || o.options.NoStart):
		return usagef("--watch watches in the foreground: it cannot go together with --detach, --wait and --no-start")
	case o.poll.every > 0 && (o.detach || o.options.Wait || o.options.NoStart):
		return usagef("--poll says how files are watched, which is done in the foreground only")
	case o.watch && o.options.NoBuild:
		return usagef("--watch and --no-build cannot go together: a change may ask for a build")
	case o.waitSeconds > 0 && !o.options.Wait:
		return usagef("--wait-timeout has a meaning with --wait only")
	}
	return nil
}

// wanted loads the project with the named services switched on, and computes what it wants.
func (a *app) wanted(ctx context.Context, services, scale []string) (*project.Project, *desired.Project, error) {
	numbers, err := parseScale(scale)
	if err != nil {
		return nil, nil, err
	}
	p, err := a.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if p, err = p.Enable(services); err != nil {
		return nil, nil, err
	}
	for name := range numbers {
		if _, err := p.Select([]string{name}, true); err != nil {
			return nil, nil, err
		}
	}
	if err := a.checkPrograms(p, services); err != nil {
		return nil, nil, err
	}
	d, err := a.desire(p, numbers)
	return p, d, err
}

// up brings the project to its state and shows how it goes on.
func (s *session) up(ctx context.Context, title string, d *desired.Project, o plan.UpOptions, flags upFlags) error {
	resume, err := s.holdKeeper(ctx, d.Name) // until it is told what to keep from now on
	if err != nil {
		return err
	}
	defer resume()
	o.Now = s.now()
	if err := s.bring(ctx, upRun{title: title, desired: d, options: o, flags: flags}); err != nil {
		return err
	}
	return s.handOver(ctx, title, d.Name, o, flags)
}

// upRun says what a project is brought to.
type upRun struct {
	title   string
	desired *desired.Project
	options plan.UpOptions
	flags   upFlags
	held    view.Progress              // of whoever has the project's lock already; nil: nobody
	adjust  func(*convergence.Options) // may be nil
}

// bring brings a project to a state and shows how it goes on.
func (s *session) bring(ctx context.Context, r upRun) (err error) {
	progress := r.held
	if progress == nil {
		if progress, err = s.progress(r.title); err != nil {
			return err
		}
	}
	if s.logs != nil {
		s.logs.To(view.Over(progress, s.out))
		defer s.logs.To(s.out)
	}
	options := s.options(progress)
	if r.held != nil {
		options.Lock = func(context.Context, string) (func(), error) { return func() {}, nil }
	}
	options.Up = r.options
	options.Lock = s.announcing(s.resuming(options.Lock, r.desired, r.options))
	narrator := narrate(ctx, progress)
	options.OnPlan = func(p *plan.Plan) {
		narrator.planned(p)
		s.clock.planned(p)
	}
	s.remember(ctx, &options, r.desired.Name, progress.Text)
	if r.adjust != nil {
		r.adjust(&options)
	}
	show := quieten(narrator.event, r.flags)
	sink := func(e execute.Event) {
		s.clock.event(e)
		show(e)
	}
	witness := &witness{Engine: s.Engine}
	result, err := convergence.Run(ctx, witness, r.desired, options, sink)
	if err == nil {
		narrator.unchanged(witness.running(r.options.Services))
	}
	progress.Close()
	if err != nil {
		return inOperations(orCause(ctx, err))
	}
	s.given = result.Given
	notes := result.Notes
	if r.flags.ignoreOrphans {
		notes = slices.DeleteFunc(notes, func(note string) bool { return strings.Contains(note, "orphan") })
	}
	return s.notes(notes)
}

// quieten leaves out how pulls or builds go on.
func quieten(sink execute.Sink, flags upFlags) execute.Sink {
	return func(e execute.Event) {
		_, pull := e.Operation.(*plan.PullImage)
		_, build := e.Operation.(*plan.BuildImage)
		if e.Phase == execute.Progress && (pull && flags.quietPull || build && flags.quietBuild) {
			return
		}
		sink(e)
	}
}
