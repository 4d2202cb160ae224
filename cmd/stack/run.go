package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

type runOptions struct {
	build, detach, noDeps, noTTY, quiet, quietBuild, quietPull bool
	remove, removeOrphans, servicePorts, useAliases, noStdin   bool

	capAdd, capDrop, env, envFiles, labels, publish, volumes []string
	entrypoint, name, pull, user, workdir                    string
	entrypointGiven                                          bool
}

func newRun(a *app) *cobra.Command {
	var o runOptions
	var interactive bool
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] SERVICE [COMMAND] [ARGS...]",
		Short: "Run a command in a new container of a service, after what it depends on",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.noStdin, o.entrypointGiven = !interactive, cmd.Flags().Changed("entrypoint")
			return runRun(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVar(&o.build, "build", false, "Build the image first")
	f.StringSliceVar(&o.capAdd, "cap-add", nil, "Give it a capability")
	f.StringSliceVar(&o.capDrop, "cap-drop", nil, "Take a capability away")
	f.BoolVarP(&o.detach, "detach", "d", false, "Leave it running and print its name")
	f.StringVar(&o.entrypoint, "entrypoint", "", "Instead of the image's")
	f.StringArrayVarP(&o.env, "env", "e", nil, "Variable NAME=value, or NAME to pass on its value")
	f.StringArrayVar(&o.envFiles, "env-from-file", nil, "File with variables")
	f.BoolVarP(&interactive, "interactive", "i", true, "Let it read standard input")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "Label NAME=value")
	f.StringVar(&o.name, "name", "", "Name of the container")
	f.BoolVar(&o.noDeps, "no-deps", false, "Do not start what the service depends on")
	f.BoolVarP(&o.noTTY, "no-tty", "T", false, "Do not give it a terminal (default when input or output is none)")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "Publish a port")
	f.StringVar(&o.pull, "pull", "", "When to pull the image: always, missing, never")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Show nothing but what the command prints")
	f.BoolVar(&o.quietBuild, "quiet-build", false, "Do not show what builds print")
	f.BoolVar(&o.quietPull, "quiet-pull", false, "Do not show how pulls go on")
	f.BoolVar(&o.removeOrphans, "remove-orphans", a.presetBool("COMPOSE_REMOVE_ORPHANS"), "Remove containers of services that the project no longer has")
	f.BoolVar(&o.remove, "rm", false, "Remove it when it has exited")
	f.BoolVarP(&o.servicePorts, "service-ports", "P", false, "Publish the service's ports")
	f.BoolVar(&o.useAliases, "use-aliases", false, "Let it be found by the service's names")
	f.StringVarP(&o.user, "user", "u", "", "User to run it as")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "Mount a volume or a directory")
	f.StringVarP(&o.workdir, "workdir", "w", "", "Directory to run it in")
	return a.notDry(cmd)
}

// oneOff is a container that run makes of a service.
type oneOff struct {
	*session
	options  runOptions
	project  *desired.Project // with the container as a service of its own
	service  desired.Service  // that one
	progress view.Progress
	given    desired.Given // what providers and model runners have said
}

func runRun(ctx context.Context, a *app, o runOptions, service string, command []string) error {
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	if p, err = p.Enable([]string{service}); err != nil {
		return err
	}
	if err := a.checkPrograms(p, []string{service}); err != nil {
		return err
	}
	base, err := a.desire(p, nil)
	if err != nil {
		return err
	}
	wanted, err := a.oneOffService(p, o, service, command)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s *session) error {
		r := &oneOff{session: s, options: o, service: wanted}
		r.project = withService(base, wanted)
		return r.run(ctx)
	})
}

// withService adds the service to a copy of the project.
func withService(d *desired.Project, s desired.Service) *desired.Project {
	out := *d
	out.Services = append(append([]desired.Service(nil), d.Services...), s)
	return &out
}

func (r *oneOff) run(ctx context.Context) error {
	mode := r.global.progress
	if r.options.quiet {
		mode = "quiet"
	}
	style, err := r.style(r.err)
	if err != nil {
		return err
	}
	if r.progress, err = view.NewProgress(mode, "run", r.err, style); err != nil {
		return usageError{err}
	}
	defer r.progress.Close()
	if err := r.prepare(ctx); err != nil {
		return inOperations(err)
	}
	if r.options.detach {
		if err := r.execute(ctx, r.Engine); err != nil {
			return inOperations(err)
		}
		r.progress.Close()
		fmt.Fprintln(r.out, r.name())
		return nil
	}
	return r.attached(ctx)
}

// prepare brings up what the service depends on and fetches or builds its image.
func (r *oneOff) prepare(ctx context.Context) error {
	options := r.session.options(r.progress)
	options.Up = plan.UpOptions{RemoveOrphans: r.options.removeOrphans, Services: r.dependencies(), Now: r.now()}
	flags := upFlags{quietPull: r.options.quietPull, quietBuild: r.options.quietBuild}
	narrator := narrate(ctx, r.progress)
	options.OnPlan = narrator.planned
	sink := quieten(narrator.event, flags)
	if len(options.Up.Services) > 0 {
		real := *r.project
		real.Services = real.Services[:len(real.Services)-1]
		result, err := convergence.Run(ctx, r.Engine, &real, options, sink)
		if err != nil {
			return err
		}
		r.given = result.Given
	}
	if err := r.serveModels(ctx, options, sink); err != nil {
		return err
	}
	fetch, err := r.fetch(ctx)
	if err != nil || len(fetch) == 0 {
		return err
	}
	return convergence.Apply(ctx, r.Engine, &plan.Plan{Project: r.project.Name, Operations: fetch}, options, sink)
}

// dependencies are the services that have to be up: with --no-deps only those of providers, whose variables are part of the
// container.
func (r *oneOff) dependencies() []string {
	var out []string
	for _, dep := range r.service.DependsOn {
		other := r.project.Service(dep.Service)
		if !r.options.noDeps || other != nil && other.Provider != nil {
			out = append(out, dep.Service)
		}
	}
	return out
}

// serveModels has the models served that the container uses.
func (r *oneOff) serveModels(ctx context.Context, options convergence.Options, sink execute.Sink) error {
	p := &plan.Plan{Project: r.project.Name}
	for _, use := range r.service.Models {
		subject := plan.Subject{Kind: plan.Model, Name: use.Key}
		p.Operations = append(p.Operations, &plan.ServeModel{
			Header: plan.Header{ID: "serve model " + use.Key, Service: r.service.Name, Subject: subject}, Model: use.Model,
		})
	}
	done := execute.Run(ctx, r.Engine, p, options.Execute, sink)
	r.given = r.given.Merge(done.Given)
	return done.Err()
}

// fetch is what builds or pulls the image; nothing if it is there.
func (r *oneOff) fetch(ctx context.Context) ([]plan.Operation, error) {
	there, err := r.hasImage(ctx, r.service.Image)
	if err != nil {
		return nil, err
	}
	policy := r.service.Pull
	if r.options.pull != "" {
		policy = desired.PullPolicy(r.options.pull)
	}
	head := plan.Header{ID: "image", Service: r.service.Name, Subject: plan.Subject{Kind: plan.Image, Name: r.service.Image}}
	switch {
	case r.service.Build != nil && (r.options.build || policy == desired.PullBuild || !there):
		return plan.BuildImages(r.service.Name, r.service.Build), nil
	case there && policy == desired.PullRefresh && r.service.Build == nil:
		if due, err := r.due(ctx); err != nil || !due {
			return nil, err
		}
		return []plan.Operation{&plan.PullImage{Header: head, Ref: r.service.Image, Platform: r.service.Platform}}, nil
	case policy == desired.PullAlways && r.service.Build == nil, policy != desired.PullNever && !there:
		return []plan.Operation{&plan.PullImage{Header: head, Ref: r.service.Image, Platform: r.service.Platform}}, nil
	}
	return nil, nil
}

// due says that the image was pulled too long ago.
func (r *oneOff) due(ctx context.Context) (bool, error) {
	found, err := r.ImageInspect(ctx, r.service.Image)
	return r.now().After(found.Metadata.LastTagTime.Add(r.service.Refresh)), err
}

// execute creates and starts the container through the engine, after what its dependencies have to reach.
func (r *oneOff) execute(ctx context.Context, e engine.Engine) error {
	up := plan.UpOptions{Services: []string{r.service.Name}, NoDeps: r.options.noDeps, RecreateDeps: plan.RecreateNever, Pull: desired.PullNever, NoBuild: true, Given: r.given}
	options := r.session.options(r.progress)
	unlock, err := options.Lock(ctx, r.project.Name)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := convergence.Plan(ctx, e, r.project, up)
	if err != nil {
		return err
	}
	options.Lock = nil
	sink := narrate(ctx, r.progress).event
	return convergence.Apply(ctx, e, p, options, func(e execute.Event) {
		// From the start on the screen belongs to the command.
		if start, ok := e.Operation.(*plan.StartContainer); !ok || start.Container != r.name() || e.Phase == execute.Failed || r.options.detach {
			sink(e)
		}
	})
}

func (r *oneOff) name() string { return r.service.Containers[0].Name }

// attached runs the container with the app's streams and ends with its exit code.
func (r *oneOff) attached(ctx context.Context) (err error) {
	if r.options.remove {
		defer func() { err = errors.Join(err, r.removeIt(ctx)) }()
	}
	gate := &startGate{Engine: r.Engine, name: r.name(), ran: make(chan error, 1)}
	gate.run = func(ctx context.Context, start func(context.Context) error) error {
		r.progress.Close()
		return r.attach(ctx, r.name(), attachOptions{noStdin: r.options.noStdin, proxied: true}, start)
	}
	if err := r.execute(ctx, gate); err != nil {
		return inOperations(err)
	}
	return <-gate.ran
}

func (r *oneOff) removeIt(ctx context.Context) error {
	err := r.ContainerRemove(context.WithoutCancel(ctx), r.name(), container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// startGate is the engine with one difference: starting the named container runs it attached. The call returns when the
// container has started, as it should, and ran yields how it ended.
type startGate struct {
	engine.Engine
	name string
	run  func(ctx context.Context, start func(context.Context) error) error
	ran  chan error
}

// ContainerStart returns when the container has started or could not be started.
func (g *startGate) ContainerStart(ctx context.Context, ref string) error {
	if ref != g.name {
		return g.Engine.ContainerStart(ctx, ref)
	}
	started := make(chan error, 1)
	go func() {
		err := g.run(ctx, func(alive context.Context) error {
			err := g.Engine.ContainerStart(alive, ref)
			started <- err
			return err
		})
		select {
		case started <- err: // it ended before it was started
		default:
		}
		g.ran <- err
	}()
	return <-started
}
