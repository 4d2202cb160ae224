package main

import "github.com/spf13/cobra"

func newCreate(a *app) *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create containers without starting them",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			options, err := u.resolve(a, args)
			if err != nil {
				return err
			}
			options.NoStart = true
			p, d, err := a.wanted(ctx, args, u.scale)
			if err != nil {
				return err
			}
			if err := a.trust(ctx, p, u.yes); err != nil {
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
				return s.up(ctx, "create", d, options, u)
			})
		},
	}
	u.declare(a, cmd)
	u.declareQuiet(cmd)
	u.declareYes(cmd)
	return cmd
}
