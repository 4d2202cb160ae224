package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func newScale(a *app) *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "scale [OPTIONS] SERVICE=NUM...",
		Short: "Change how many containers services have",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			numbers, err := parseScale(args)
			if err != nil {
				return err
			}
			u.scale = args
			options, err := u.resolve(a, slices.Sorted(maps.Keys(numbers)))
			if err != nil {
				return err
			}
			_, d, err := a.wanted(ctx, options.Services, args)
			if err != nil {
				return err
			}
			return a.with(ctx, func(s *session) error {
				if err := s.consent(ctx, d, &options, &u); err != nil {
					return err
				}
				if a.global.dryRun {
					_, err := s.showPlan(ctx, d, options, "text")
					return err
				}
				return s.up(ctx, "scale", d, options, u)
			})
		},
	}
	u.declareVolumes(cmd)
	cmd.Flags().BoolVar(&u.options.NoDeps, "no-deps", false, "Not what the services depend on")
	return cmd
}
