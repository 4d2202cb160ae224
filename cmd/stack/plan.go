package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

func newPlan(a *app) *cobra.Command {
	var u upFlags
	var format string
	cmd := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Show what up would do, and why; exit with 0 for nothing, 2 for changes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlan(cmd.Context(), a, &u, args, format)
		},
	}
	u.declare(a, cmd)
	u.declareDependencies(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func runPlan(ctx context.Context, a *app, u *upFlags, services []string, format string) error {
	if format != "text" && format != "json" {
		return usagef("value %q of --format is not one of text, json", format)
	}
	options, err := u.resolve(a, services)
	if err != nil {
		return err
	}
	_, d, err := a.wanted(ctx, services, u.scale)
	if err != nil {
		return err
	}
	a.global.dryRun = true // a plan changes nothing, whatever it contains
	return a.with(ctx, func(s *session) error {
		empty, err := s.showPlan(ctx, d, options, format)
		if err == nil && !empty {
			return exitCode(exitChanges)
		}
		return err
	})
}

// showPlan prints what bringing the project up would do, and reports whether that is nothing.
func (s *session) showPlan(ctx context.Context, d *desired.Project, o plan.UpOptions, format string) (empty bool, err error) {
	o.Now = s.now()
	p, err := convergence.Plan(ctx, s.Engine, d, o)
	if err != nil {
		return false, err
	}
	if format == "json" {
		return p.Empty(), view.JSON(s.out, p)
	}
	if p.Empty() {
		fmt.Fprintln(s.out, "nothing to do")
	}
	_, err = fmt.Fprint(s.out, p.Text())
	if p.Undecided {
		fmt.Fprintln(s.out, "the rest is planned when this is done")
	}
	return p.Empty(), err
}
