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
	var format, out string
	cmd := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Show what up would do, and why; exit with 0 for nothing, 2 for changes",
		Long: "It exits with 1 for every error. Providers and models are not asked: if the last up asked them the same, they are " +
			"taken to answer the same, and that alone is no change. With --out the plan is kept, and up --plan carries out exactly " +
			"it: with the files as they are now, whatever becomes of them, and not at all if the containers, networks, volumes or " +
			"images have changed so that there is something else to do. The file holds all secrets of the project, and only its " +
			"owner may read it",
		Annotations: map[string]string{oneFailure: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlan(cmd.Context(), a, &u, args, format, out)
		},
	}
	u.declare(a, cmd)
	u.declareDependencies(cmd)
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text or json")
	f.StringVar(&out, "out", "", "Keep the plan in this file, for up --plan")
	return cmd
}

func runPlan(ctx context.Context, a *app, u *upFlags, services []string, format, out string) error {
	if format != "text" && format != "json" {
		return usagef("value %q of --format is not one of text, json", format)
	}
	if out != "" {
		if err := checkPlanFile(out); err != nil {
			return err
		}
	}
	options, err := u.resolve(a, services)
	if err != nil {
		return err
	}
	_, d, err := a.wanted(ctx, services, u.scale)
	if err != nil {
		return err
	}
	if out != "" {
		if err := checkOutside(out, d); err != nil {
			return err
		}
	}
	a.global.dryRun = true // a plan changes nothing, whatever it contains
	options.Now = a.now()
	return a.with(ctx, func(s *session) error {
		if err := s.consent(ctx, d, &options, u); err != nil {
			return err
		}
		v, err := s.preview(ctx, d, options)
		if err != nil {
			return err
		}
		if out != "" {
			if err := s.keepPlan(ctx, out, d, options, v.plan); err != nil {
				return err
			}
		}
		if err := s.show(v, format); err != nil || !v.changes {
			return err
		}
		return exitCode(exitChanges)
	})
}

// preview is what bringing a project up would do.
type preview struct {
	plan    *plan.Plan
	changes bool
}

// preview plans. Where only providers and model runners know what else there is to do, they are taken to say what they said the
// last time.
func (s *session) preview(ctx context.Context, d *desired.Project, o plan.UpOptions) (*preview, error) {
	p, err := convergence.Plan(ctx, s.Engine, d, o)
	if err != nil {
		return nil, err
	}
	v := &preview{plan: p, changes: !p.Empty()}
	if p.Empty() || !onlyAsks(p) {
		return v, nil
	}
	o.Given = s.lastGiven(ctx, d)
	answered, err := convergence.Plan(ctx, s.Engine, d, o)
	if err != nil {
		return nil, err
	}
	v.changes = !answered.Empty()
	if !v.changes {
		p.Notes = append(p.Notes, "nothing is to be done if providers and models answer as they did the last time; they were not asked now")
	}
	return v, nil
}

// onlyAsks says that the plan does nothing but ask providers and model runners.
func onlyAsks(p *plan.Plan) bool {
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *plan.RunProvider:
			if op.Do != plan.ProviderUp {
				return false
			}
		case *plan.ServeModel, *plan.WaitHealthy, *plan.WaitCompleted, *plan.Gate:
		default:
			return false
		}
	}
	return true
}

// show prints a preview.
func (s *session) show(v *preview, format string) error {
	if format == "json" {
		return view.JSON(s.out, v.plan)
	}
	if v.plan.Empty() {
		fmt.Fprintln(s.out, "nothing to do")
	}
	_, err := fmt.Fprint(s.out, v.plan.Text())
	if v.plan.Undecided && v.changes {
		fmt.Fprintln(s.out, "the rest is planned when this is done")
	}
	return err
}

// showPlan prints what bringing the project up would do, and reports whether that is nothing.
func (s *session) showPlan(ctx context.Context, d *desired.Project, o plan.UpOptions, format string) (empty bool, err error) {
	o.Now = s.now()
	v, err := s.preview(ctx, d, o)
	if err != nil {
		return false, err
	}
	return !v.changes, s.show(v, format)
}
