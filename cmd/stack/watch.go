package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch/poll"
	"stackrun.dev/stack/watch/rules"
)

// watchFlags say how files are watched.
type watchFlags struct {
	poll  polling
	prune bool // images that rebuilds leave without a name are removed
}

func (o *watchFlags) declarePoll(cmd *cobra.Command) {
	f := cmd.Flags().VarPF(&o.poll, "poll", "", "Look for changed files again and again, where events of the file system do not come through; with an interval such as 500ms")
	f.NoOptDefVal = poll.Interval.String()
}

// checkPoll refuses an interval that was not written as the value of --poll, and so was taken for the name of a service.
func (o *watchFlags) checkPoll(services []string) error {
	if o.poll.every != poll.Interval { // it has a value
		return nil
	}
	for _, name := range services {
		if new(polling).Set(name) == nil {
			return usagef("%q is no service: write --poll=%s to look for changed files in that interval", name, name)
		}
	}
	return nil
}

// polling is the value of --poll.
type polling struct{ every time.Duration } // 0: no

func (p *polling) String() string {
	if p.every == 0 {
		return ""
	}
	return p.every.String()
}

// Set reads a duration; a number alone is seconds.
func (p *polling) Set(text string) error {
	every, err := time.ParseDuration(text)
	if seconds, numberErr := strconv.ParseUint(text, 10, 31); numberErr == nil {
		every, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || every <= 0 {
		return fmt.Errorf("%q is not a duration such as 500ms or 2s", text)
	}
	p.every = every
	return nil
}

func (p *polling) Type() string { return "duration" }

type watchOptions struct {
	watchFlags
	noUp, quiet bool
}

const watchLong = `The project is brought up; images of services with both build and develop are built for that, so that they are of the files as these
are. Then files are watched. What is to be done when which of them change is said by develop.watch, and by on_change of x-stack for
what containers see through bind mounts. Dockerfiles are watched, too, and so are the files of the project: what changes there is
carried out at once, and a mistake is told and changes nothing. Ctrl-C ends the watching, and the containers go on running.`

func newWatch(a *app) *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch [OPTIONS] [SERVICE...]",
		Short: "Bring the project up, and carry changed files into its containers",
		Long:  watchLong,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWatch(cmd.Context(), a, &o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.noUp, "no-up", false, "Do not build and start anything before, and leave what the project's files say to others")
	f.BoolVar(&o.prune, "prune", true, "Remove the images that a rebuild has left without a name and that no rollback needs")
	f.BoolVar(&o.quiet, "quiet", false, "Do not show what builds and pulls print")
	o.declarePoll(cmd)
	return cmd
}

// newAlpha has watch under the name that it once had in Compose.
func newAlpha(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "alpha COMMAND", Short: "Commands that have other names by now", Hidden: true}
	watch := newWatch(a)
	watch.Short = "The same as stack watch"
	cmd.AddCommand(watch)
	return cmd
}

// everything is what watch and up --watch watch for.
var everything = rules.Options{Develop: true, OnChange: true, Dockerfiles: true}

func runWatch(ctx context.Context, a *app, o *watchOptions, services []string) error {
	if err := o.checkPoll(services); err != nil {
		return err
	}
	a.lasts()
	p, d, err := a.wanted(ctx, services, nil)
	if err != nil {
		return err
	}
	if err := a.trust(ctx, p, false); err != nil {
		return err
	}
	return a.with(ctx, func(s *session) error {
		r := &watchRun{session: s, options: o, wished: wished{project: p, desired: d, plan: plan.UpOptions{Services: services}, began: s.now()}}
		r.flags.quietPull, r.flags.quietBuild = o.quiet, o.quiet
		if a.global.dryRun {
			return r.show(ctx)
		}
		return r.run(ctx)
	})
}

// watchRun is a project that is brought up and watched until somebody ends that.
type watchRun struct {
	*session
	wished
	options  *watchOptions
	stay     *stay
	watching *watching
}

// show says what would be done.
func (r *watchRun) show(ctx context.Context) error {
	if !r.options.noUp {
		buildFirst(r.project, r.desired)
		if _, err := r.showPlan(ctx, r.desired, r.plan, "text"); err != nil {
			return err
		}
	}
	return r.showRules(&r.wished)
}

// run begins to watch before it brings the project up, so that what is saved meanwhile is not missed.
func (r *watchRun) run(ctx context.Context) error {
	r.stay = r.prepareStay(r.wished)
	defer r.stay.end()
	r.watching = r.newWatching(r.wished, r.options.watchFlags)
	defer r.watching.end()
	r.watching.reactions.wish, r.watching.reactions.kept = r.stay.latest, r.stay.keeps
	switch some, err := r.watching.prepare(ctx, everything); {
	case err != nil:
		return err
	case !some:
		return errNothingToWatch
	}
	r.stay.changed = r.watching.update
	if err := r.bringUp(ctx); err != nil {
		return err
	}
	if err := r.watching.begin(ctx); err != nil {
		return err
	}
	if r.options.noUp {
		r.stay.readOnly(ctx)
	} else if err := r.stay.begin(ctx); err != nil {
		return err
	}
	defer r.life.goesOn(ctx, r.watching.told)()
	return r.await(ctx)
}

// bringUp brings the project up, unless that is not wanted.
func (r *watchRun) bringUp(ctx context.Context) error {
	if r.options.noUp {
		return nil
	}
	if err := r.consent(ctx, r.desired, &r.plan, &r.flags); err != nil {
		return err
	}
	buildFirst(r.project, r.desired)
	return r.up(ctx, "up", r.desired, r.plan, r.flags)
}

// await waits until somebody ends the watching, or takes the project down, or nothing can be watched any more.
func (r *watchRun) await(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := r.stay.ended
	var down <-chan struct{} // while others keep the project, or nobody does
	for {
		select {
		case <-ctx.Done():
			return exitCode(exitInterrupted)
		case <-ended:
			if errors.Is(r.stay.why, convergence.ErrDown) {
				return nil
			}
			ended, down = nil, r.watching.takenDown(ctx)
		case <-down:
			r.watching.lines.text("the watching ends: " + convergence.ErrDown.Error())
			return nil
		case <-r.watching.failed:
			return exitCode(exitFailure)
		}
	}
}

// buildFirst has the images of services that are worked on built when the project is brought up, so that they are of the
// files as these are: from then on only what changes is looked at.
func buildFirst(p *project.Project, d *desired.Project) {
	for i := range d.Services {
		s := &d.Services[i]
		if s.Build != nil && p.Services[s.Name].Develop != nil {
			s.Pull = desired.PullBuild
		}
	}
}

// showRules says what would be watched.
func (s *session) showRules(w *wished) error {
	o := everything
	o.Services = w.concerned()
	list, warnings, err := rules.Of(w.project, o)
	if warnErr := s.warn(warnings); err == nil {
		err = warnErr
	}
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errNothingToWatch
	}
	for _, line := range described(list) {
		fmt.Fprintln(s.out, "watch "+line)
	}
	return nil
}
