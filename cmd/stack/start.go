package main

import (
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/plan"
)

func newStart(a *app) *cobra.Command {
	var o plan.LifecycleOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Start containers that were created or stopped",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd.Context(), timeout, "waiting for the services")
			defer cancel()
			return orCause(ctx, a.lifecycle(ctx, "start", args, o, plan.Start))
		},
	}
	cmd.Flags().BoolVar(&o.Wait, "wait", false, "Wait until they run and are healthy")
	cmd.Flags().IntVar(&timeout, "wait-timeout", 0, "How many seconds to wait at most")
	return cmd
}
