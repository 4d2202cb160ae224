package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

type pullOptions struct {
	ignoreBuildable, ignoreFailures, dependencies, quiet bool

	policy string
}

func newPull(a *app) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] [SERVICE...]",
		Short: "Fetch the images of services",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPull(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.ignoreBuildable, "ignore-buildable", false, "Not the images that the project can build")
	f.BoolVar(&o.ignoreFailures, "ignore-pull-failures", false, "Go on without images that cannot be fetched")
	f.BoolVar(&o.dependencies, "include-deps", false, "Also what the services depend on")
	f.StringVar(&o.policy, "policy", "", "missing: only images that are not there; always")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Show failures only")
	return cmd
}

func runPull(ctx context.Context, a *app, o pullOptions, services []string) error {
	if o.policy != "" && o.policy != string(desired.PullMissing) && o.policy != string(desired.PullAlways) {
		return usagef("value %q of --policy is not one of missing, always", o.policy)
	}
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	if p, err = p.Select(services, !o.dependencies); err != nil {
		return err
	}
	d, err := a.desire(p, nil)
	if err != nil {
		return err
	}
	wanted := imagesToFetch(d, func(s desired.Service) bool {
		return s.Pull != desired.PullNever && s.Pull != desired.PullBuild && !(s.Build != nil && o.ignoreBuildable)
	})
	wanted = append(wanted, imagesOfHooks(d, wanted)...)
	return a.with(ctx, func(s *session) error { return s.pullAll(ctx, d.Name, wanted, o) })
}

// imagesOfHooks are the images of pre_start hooks that nobody builds and that are not among the wanted ones.
func imagesOfHooks(d *desired.Project, wanted []desired.Service) []desired.Service {
	seen := map[string]bool{}
	for _, s := range slices.Concat(d.Services, wanted) {
		seen[s.Image] = true
	}
	var out []desired.Service
	for _, s := range d.Services {
		for _, hook := range s.PreStart {
			if hook.Pull != desired.PullNever && !seen[hook.Image] {
				seen[hook.Image] = true
				out = append(out, desired.Service{Name: s.Name, Image: hook.Image, Platform: hook.Platform})
			}
		}
	}
	return out
}

func (s *session) pullAll(ctx context.Context, name string, wanted []desired.Service, o pullOptions) error {
	pulls := &plan.Plan{Project: name}
	for _, service := range wanted {
		if o.policy == string(desired.PullMissing) {
			there, err := s.hasImage(ctx, service.Image)
			if err != nil {
				return err
			}
			if there {
				continue
			}
		}
		pulls.Operations = append(pulls.Operations, &plan.PullImage{
			Header: plan.Header{
				ID: "pull image " + service.Image, Service: service.Name,
				Subject: plan.Subject{Kind: plan.Image, Name: service.Image},
			},
			Ref: service.Image, Platform: service.Platform,
		})
	}
	err := s.carryOut(ctx, "pull", pulls, o.quiet)
	if err != nil && o.ignoreFailures && ctx.Err() == nil {
		return s.warn([]project.Warning{{Text: firstLine(err)}})
	}
	return err
}

func (s *session) hasImage(ctx context.Context, ref string) (bool, error) {
	_, err := s.ImageInspect(ctx, ref)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
