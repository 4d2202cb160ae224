package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch/rules"
)

// attachFlags say what up shows of the containers while it stays, and what ends it.
type attachFlags struct {
	attach, noAttach             []string
	attachDependencies           bool
	abortOnExit, abortOnFailure  bool
	exitCodeFrom                 string
	noPrefix, noColor, timestamp bool
}

func (o *attachFlags) declareAttach(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.attach, "attach", nil, "Show the output of these services only")
	f.StringArrayVar(&o.noAttach, "no-attach", nil, "Do not show the output of this service")
	f.BoolVar(&o.attachDependencies, "attach-dependencies", false, "Show also what the named services depend on")
	f.BoolVar(&o.abortOnExit, "abort-on-container-exit", false, "Stop all containers when one has exited")
	f.BoolVar(&o.abortOnFailure, "abort-on-container-failure", false, "Stop all containers when one has exited with an error")
	f.StringVar(&o.exitCodeFrom, "exit-code-from", "", "Exit with this service's code; implies --abort-on-container-exit")
	f.BoolVar(&o.noPrefix, "no-log-prefix", false, "Do not show which container wrote it")
	f.BoolVar(&o.noColor, "no-color", false, "Do not colour the prefixes")
	f.BoolVar(&o.timestamp, "timestamps", false, "Show times")
}

// shows reports whether the output of a service is shown.
func (o *attachFlags) shows(p *project.Project, asked []string, service string) bool {
	switch {
	case slices.Contains(o.noAttach, service):
		return false
	case len(o.attach) > 0:
		return slices.Contains(o.attach, service)
	case len(asked) > 0 && !o.attachDependencies && !slices.Contains(asked, service):
		return false
	}
	attach := p.Services[service].Attach
	return attach == nil || *attach
}

// attachedRun is an up that stays until its containers have exited or the user interrupts it.
type attachedRun struct {
	*session
	wished
	options *upOptions
	follow  *follower
	aborts  chan int // the exit code of the container that ends the run by its end
	menu    menu
	stay    *stay // keeps the project as its files say; nil if an exit is to end the run

	telling sync.Mutex // guards isUp, and the streams while the menu is put below them
	isUp    bool       // what is told stands between the lines of logs from then on

	watching *watching
}

func (s *session) upAttached(ctx context.Context, p *project.Project, d *desired.Project, up plan.UpOptions, o *upOptions) error {
	s.lasts()
	if o.exitCodeFrom != "" {
		if _, err := p.Select([]string{o.exitCodeFrom}, true); err != nil {
			return err
		}
		o.abortOnExit = true
	}
	if _, err := p.Select(o.attach, true); err != nil {
		return err
	}
	sink, err := s.logSink(o.noColor, o.noPrefix, o.timestamp)
	if err != nil {
		return err
	}
	w := wished{project: p, desired: d, plan: up, flags: o.upFlags, began: s.now()}
	r := &attachedRun{session: s, wished: w, options: o, aborts: make(chan int, 1)}
	r.follow = &follower{
		session: s, scope: scope{name: d.Name, project: p, separator: s.separator()}, sink: sink,
		which:   which{services: r.concerned(), stopped: true},
		request: container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true, Since: unixTime(r.began)},
		quiet:   func(service string) bool { return !o.shows(p, up.Services, service) },
		began:   r.began, exited: r.exited,
	}
	return r.run(ctx)
}

func (r *attachedRun) run(ctx context.Context) error {
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer r.settle()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	defer r.life.goesOn(alive, r.told)()
	over, up := r.show(alive)
	if err := r.up(ctx, "up", r.desired, r.plan, r.options.upFlags); err != nil {
		close(up)
		if ctx.Err() != nil && r.begun { // else what runs is not of this run
			return r.lastWords(over, cancel, r.wind(alive, true))
		}
		cancel()
		<-over
		return err
	}
	return r.remain(ctx, alive, cancel, over, up)
}

// prepare begins to look at the files that are to be watched while the run goes on.
func (r *attachedRun) prepare(ctx context.Context) error {
	r.watching = r.newWatching(r.wished, r.options.watchFlags)
	r.watching.reactions.wish = func() (*project.Project, *desired.Project) { return r.project, r.desired }
	r.watching.shown = func(service string) bool { return !r.follow.quiet(service) }
	var wanted rules.Options
	if !r.endsByExit() {
		r.stay = r.prepareStay(r.wished)
		r.stay.changed = r.watching.update
		r.follow.also = r.stay.concerns
		r.watching.reactions.wish, r.watching.reactions.kept = r.stay.latest, r.stay.keeps
		wanted.OnChange = true
	}
	if r.options.watch {
		wanted = everything
		buildFirst(r.project, r.desired)
	}
	if some, err := r.watching.prepare(ctx, wanted); err != nil || some || !r.options.watch {
		return err
	}
	return errNothingToWatch
}

// endsByExit says that the exit of a container is to end the run.
func (r *attachedRun) endsByExit() bool { return r.options.abortOnExit || r.options.abortOnFailure }

// show shows what the containers write from now on, of those that run already when up is closed.
func (r *attachedRun) show(ctx context.Context) (over <-chan error, up chan<- struct{}) {
	ended, isUp := make(chan error, 1), make(chan struct{})
	r.follow.subscribe(ctx)
	r.follow.up = isUp
	for _, name := range r.concerned() { // so that all prefixes are as wide
		if s := r.desired.Service(name); s != nil {
			for _, c := range s.Containers {
				r.follow.sink.Add(asMember(container.Summary{Names: []string{"/" + c.Name}, Labels: c.Config.Config.Labels}).label())
			}
		}
	}
	r.logs = r.follow.sink
	go func() { ended <- r.follow.run(ctx) }()
	return ended, isUp
}

// remain goes on when the project is up, until the containers have ended or somebody ends the run.
func (r *attachedRun) remain(ctx, alive context.Context, cancel context.CancelFunc, over <-chan error, up chan<- struct{}) (err error) {
	err = r.open(ctx, alive)
	defer r.menu.close()
	if err != nil {
		return err
	}
	if r.stay != nil {
		if err := r.stay.begin(alive); err != nil {
			return err
		}
	}
	r.follow.more = r.more
	close(up)
	for {
		select {
		case key := <-r.menu.keys:
			if key == watchKey {
				r.menu.show(r.watching.toggle(ctx))
				continue
			}
			cancel()
			<-over
			return nil
		case err := <-over:
			select {
			case code := <-r.aborts:
				return r.aborted(alive, code)
			default:
				return err
			}
		case code := <-r.aborts:
			return r.lastWords(over, cancel, r.aborted(alive, code))
		case <-ctx.Done():
			return r.lastWords(over, cancel, r.wind(alive, true))
		}
	}
}

// open opens the menu and begins to watch.
func (r *attachedRun) open(ctx, alive context.Context) (err error) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.menu, err = r.openMenu(ctx, r.options.menuFlags, r.watching.develops()); err != nil {
		return err
	}
	r.follow.sink.To(r.out)
	r.isUp = true
	return r.watching.begin(alive)
}

// told tells what becomes of the engine.
func (r *attachedRun) told(err error) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.isUp {
		r.watching.told(err)
		return
	}
	_ = r.warn([]project.Warning{{Text: err.Error()}})
}

// more says whether there is something to wait for although no container runs: one may be about to be made again, and whoever
// watches files is about to mend what has ended. Of a project that was taken down nothing is, whoever kept it.
func (r *attachedRun) more(ctx context.Context) bool {
	if _, down := r.intent(ctx, r.follow.scope.name, r.began)(); down {
		return false
	}
	return r.watching.develops() || r.stay != nil && r.stay.more(ctx)
}

// settle watches nothing and keeps the project no longer. What was wished last is what the run is about then.
func (r *attachedRun) settle() {
	r.watching.end()
	if r.stay != nil {
		r.stay.end()
		r.project, r.desired = r.stay.latest()
	}
}

// lastWordsTime bounds how long is waited for the output of containers that have stopped.
const lastWordsTime = 5 * time.Second

// lastWords lets the containers' output end, which it does when none of them runs any more, and returns the error.
func (r *attachedRun) lastWords(over <-chan error, cancel context.CancelFunc, err error) error {
	late := time.AfterFunc(lastWordsTime, cancel)
	defer late.Stop()
	<-over
	return err
}

// exited is told about each container that has exited for good.
func (r *attachedRun) exited(ctx context.Context, m member, code int) error {
	if !r.follow.quiet(m.service) {
		_ = r.follow.announceExit(ctx, m, code)
	}
	if (r.options.abortOnExit || r.options.abortOnFailure && code != 0) && !r.goesOn(ctx, m) {
		select {
		case r.aborts <- code:
		default: // another one was the first
		}
	}
	return nil
}

// goesOn says that the container was ended because files have changed, and is about to run again.
func (r *attachedRun) goesOn(ctx context.Context, m member) bool {
	if r.watching.reactions.busy(m.service) {
		return true
	}
	if !r.watching.develops() {
		return false
	}
	running := true
	err := r.persist(ctx, func() error { // it may have been started again since
		now, err := r.ContainerInspect(ctx, m.ID)
		running = err != nil || now.State.Running
		return err
	})
	return err != nil || running
}

// aborted stops what still runs and ends with the exit code that was asked for.
func (r *attachedRun) aborted(ctx context.Context, code int) error {
	fmt.Fprintln(r.err, "Aborting on container exit...")
	if err := r.wind(ctx, false); err != nil {
		return err
	}
	if from := r.options.exitCodeFrom; from != "" {
		var list []member
		err := r.persist(ctx, func() (err error) {
			list, err = r.members(ctx, r.follow.scope, which{services: []string{from}, stopped: true})
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range list {
			code, _ = m.status()
		}
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// wind stops the containers, dependents first; an interrupt on the way kills them. If it was an interrupt that made it
// begin, its error is the exit code of that.
func (r *attachedRun) wind(ctx context.Context, interrupted bool) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	r.menu.close()
	if interrupted {
		fmt.Fprintln(r.err, "Gracefully stopping... press Ctrl+C again to force")
	}
	r.settle()
	r.life.ask()
	end := func(title string, make planner) error {
		return r.persist(ctx, func() error { return r.end(ctx, title, make) })
	}
	stopped := make(chan error, 1)
	go func() { stopped <- end("stop", plan.Stop) }()
	var err error
	select {
	case err = <-stopped:
	case <-interrupts:
		err = errors.Join(end("kill", unordered(plan.Kill)), <-stopped)
	}
	if err == nil && interrupted {
		return exitCode(exitInterrupted)
	}
	return err
}

// end carries out one plan on the containers of the run. It takes no lock: killing must not wait for stopping.
func (r *attachedRun) end(ctx context.Context, title string, make planner) error {
	now, err := observe.Listed(ctx, r.Engine, r.desired.Name, r.desired)
	if err != nil {
		return err
	}
	p, err := make(r.desired, now, plan.LifecycleOptions{Services: present(r.desired, now, r.concerned()), Timeout: r.plan.Timeout})
	if err != nil {
		return err
	}
	progress, err := r.progress(title)
	if err != nil {
		return err
	}
	defer progress.Close()
	return convergence.Apply(ctx, r.Engine, p, convergence.Options{Execute: r.executeOptions()}, narrate(ctx, progress).event)
}

// present leaves out services that have no containers and no provider.
func present(d *desired.Project, now *state.Project, services []string) []string {
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool {
		s := d.Service(name)
		return len(now.Of(name)) == 0 && (s == nil || s.Provider == nil)
	})
}
