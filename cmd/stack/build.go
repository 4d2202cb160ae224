package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

type buildOptions struct {
	noCache, pull, quiet, push, dependencies bool

	args []string
}

func newBuild(a *app) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build the images of services that say how",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.args, "build-arg", nil, "Build argument NAME=value, or NAME to pass on its value")
	f.BoolVar(&o.noCache, "no-cache", false, "Do not use what earlier builds left")
	f.BoolVar(&o.pull, "pull", false, "Fetch newer base images")
	f.BoolVar(&o.push, "push", false, "Then send the images to their registries")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Show failures only")
	f.BoolVar(&o.dependencies, "with-dependencies", false, "Also what the services depend on")
	return cmd
}

func runBuild(ctx context.Context, a *app, o buildOptions, services []string) error {
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	if p, err = p.Select(services, !o.dependencies); err != nil {
		return err
	}
	if err := p.CheckBuilds(); err != nil {
		return err
	}
	d, err := a.desire(p, nil)
	if err != nil {
		return err
	}
	builds := &plan.Plan{Project: d.Name}
	var refs []string
	planned := map[string]bool{}
	for _, service := range d.Services {
		if service.Build == nil {
			continue
		}
		refs = append(refs, service.Image)
		for _, op := range plan.BuildImages(service.Name, withChoices(service.Build, o, a.resolveArgs(o.args))) {
			if id := op.Head().ID; !planned[id] {
				planned[id] = true
				builds.Operations = append(builds.Operations, op)
			}
		}
	}
	if len(refs) == 0 {
		return a.warn([]project.Warning{{Text: "none of the services says how to build an image"}})
	}
	return a.with(ctx, func(s *session) error {
		if err := s.carryOut(ctx, "build", builds, o.quiet); err != nil || !o.push {
			return err
		}
		return s.pushAll(ctx, refs, pushOptions{quiet: o.quiet})
	})
}

// withChoices is the build, and those that it needs, with the choices of the command line.
func withChoices(from *desired.Build, o buildOptions, args map[string]*string) *desired.Build {
	build := *from
	build.Options.NoCache = build.Options.NoCache || o.noCache
	build.Options.PullParent = build.Options.PullParent || o.pull
	if len(args) > 0 {
		all := maps.Clone(build.Options.BuildArgs)
		if all == nil {
			all = map[string]*string{}
		}
		maps.Copy(all, args)
		build.Options.BuildArgs = all
	}
	build.After = make([]*desired.Build, len(from.After))
	for i, first := range from.After {
		build.After[i] = withChoices(first, o, args)
	}
	return &build
}

// resolveArgs reads --build-arg. An argument without a value has the one that the environment gives it, if any.
func (a *app) resolveArgs(args []string) map[string]*string {
	own := environment(a.environ)
	out := make(map[string]*string, len(args))
	for _, arg := range args {
		if name, value, ok := cutEnv(arg, own); ok {
			out[name] = &value
		}
	}
	return out
}

// imagesToFetch are the images of services, each once, with what they are fetched for.
func imagesToFetch(d *desired.Project, meant func(desired.Service) bool) []desired.Service {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(d.Services), func(s desired.Service) bool {
		if s.Provider != nil || !meant(s) || seen[s.Image] {
			return true
		}
		seen[s.Image] = true
		return false
	})
}
