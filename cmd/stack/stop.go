package main

import (
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/plan"
)

func newStop(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers without removing them",
	}
	timeout := timeoutFlag(cmd, "Seconds until a container is killed (default: its own, or 10)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.lifecycle(cmd.Context(), "stop", args, plan.LifecycleOptions{Timeout: timeout()}, plan.Stop)
	}
	return cmd
}

func newRestart(a *app) *cobra.Command {
	var o plan.LifecycleOptions
	cmd := &cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Stop containers and start them again",
	}
	timeout := timeoutFlag(cmd, "Seconds until a container is killed (default: its own, or 10)")
	cmd.Flags().BoolVar(&o.NoDeps, "no-deps", false, "Not what depends on them with restart: true")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Timeout = timeout()
		return a.lifecycle(cmd.Context(), "restart", args, o, plan.Restart)
	}
	return cmd
}
