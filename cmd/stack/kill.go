package main

import (
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

func newKill(a *app) *cobra.Command {
	var o plan.LifecycleOptions
	var removeOrphans bool
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			make := unordered(plan.Kill)
			if removeOrphans {
				make = plan.KillAndClear
			}
			return a.lifecycle(cmd.Context(), "kill", args, o, make)
		},
	}
	cmd.Flags().BoolVar(&removeOrphans, "remove-orphans", a.presetBool("COMPOSE_REMOVE_ORPHANS"), "Also remove containers of services that the project no longer has")
	cmd.Flags().StringVarP(&o.Signal, "signal", "s", "SIGKILL", "The signal's name or number")
	return cmd
}

func newPause(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pause [SERVICE...]",
		Short: "Freeze containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.lifecycle(cmd.Context(), "pause", args, plan.LifecycleOptions{}, unordered(plan.Pause))
		},
	}
}

func newUnpause(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unpause [SERVICE...]",
		Short: "Let frozen containers go on",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.lifecycle(cmd.Context(), "unpause", args, plan.LifecycleOptions{}, unordered(plan.Unpause))
		},
	}
}

// unordered is a planner that needs no order of services.
func unordered(make func(*state.Project, plan.LifecycleOptions) (*plan.Plan, error)) planner {
	return func(_ *desired.Project, s *state.Project, o plan.LifecycleOptions) (*plan.Plan, error) {
		return make(s, o)
	}
}
