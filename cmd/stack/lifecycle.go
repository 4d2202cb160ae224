package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// planner makes the plan of a command that changes what containers do.
type planner func(*desired.Project, *state.Project, plan.LifecycleOptions) (*plan.Plan, error)

// lifecycle runs such a command on the services named by args, or on all.
func (a *app) lifecycle(ctx context.Context, title string, args []string, o plan.LifecycleOptions, make planner) error {
	sc, err := a.scope(ctx)
	if err != nil {
		return err
	}
	if sc, err = sc.withServices(args); err != nil {
		return err
	}
	o.Services = args
	return a.with(ctx, func(s *session) error { return s.apply(ctx, title, sc, o, make) })
}

// timeoutFlag declares -t and returns how to read it: nil if it was not given.
func timeoutFlag(cmd *cobra.Command, usage string) func() *int {
	seconds := cmd.Flags().IntP("timeout", "t", 0, usage)
	return func() *int {
		if !cmd.Flags().Changed("timeout") {
			return nil
		}
		return seconds
	}
}

// within bounds the context, unless seconds is 0.
func within(ctx context.Context, seconds int, what string) (context.Context, context.CancelFunc) {
	if seconds <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second, lateError{what, seconds})
}

// lateError is a deadline that has passed, in words.
type lateError struct {
	what    string
	seconds int
}

func (e lateError) Error() string {
	return fmt.Sprintf("%s took more than %d seconds", e.what, e.seconds)
}

// Is makes it the kind of error that it is without words, also for those who only see the cause of a failed call.
func (e lateError) Is(target error) bool { return target == context.DeadlineExceeded }
