package main

import (
	"context"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

type pushOptions struct {
	ignoreFailures, dependencies, quiet bool
}

func newPush(a *app) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] [SERVICE...]",
		Short: "Send the images that the project builds to their registries",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPush(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.ignoreFailures, "ignore-push-failures", false, "Go on with the others when one cannot be sent")
	f.BoolVar(&o.dependencies, "include-deps", false, "Also what the services depend on")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Show failures only")
	return cmd
}

func runPush(ctx context.Context, a *app, o pushOptions, services []string) error {
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
	var refs []string
	for _, s := range imagesToFetch(d, func(s desired.Service) bool { return s.Build != nil }) {
		if p.Services[s.Name].Image == "" {
			if err := a.warn([]project.Warning{{Text: "service " + s.Name + " has no image name to send its image under"}}); err != nil {
				return err
			}
			continue
		}
		refs = append(refs, s.Image)
	}
	return a.with(ctx, func(s *session) error { return s.pushAll(ctx, refs, o) })
}

func (s *session) pushAll(ctx context.Context, refs []string, o pushOptions) error {
	progress, err := s.progress("push")
	if o.quiet && err == nil {
		progress, err = view.NewProgress("quiet", "push", s.err, view.Style{})
	}
	if err != nil {
		return err
	}
	defer progress.Close()
	var group errgroup.Group
	group.SetLimit(s.parallel())
	for _, ref := range refs {
		group.Go(func() error {
			err := s.push(ctx, progress, ref)
			if err != nil && o.ignoreFailures && ctx.Err() == nil {
				progress.Text("warning: " + err.Error())
				return nil
			}
			return err
		})
	}
	return group.Wait()
}
