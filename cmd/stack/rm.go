package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/plan"
)

func newRm(a *app) *cobra.Command {
	var o plan.LifecycleOptions
	var force bool
	cmd := &cobra.Command{
		Use:   "rm [OPTIONS] [SERVICE...]",
		Short: "Remove containers that do not run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !force && !a.global.dryRun {
				sure, err := a.confirmRm(cmd.Context(), args, o.Stop)
				if err != nil || !sure {
					return err
				}
			}
			return a.lifecycle(cmd.Context(), "rm", args, o, plan.Remove)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&force, "force", "f", false, "Do not ask")
	f.BoolVarP(&o.Stop, "stop", "s", false, "Stop them first")
	f.BoolVarP(&o.Volumes, "volumes", "v", false, "Also their anonymous volumes")
	return cmd
}

// confirmRm shows what would be removed and asks. It reports false when there is nothing to remove.
func (a *app) confirmRm(ctx context.Context, services []string, stop bool) (bool, error) {
	sc, err := a.scope(ctx)
	if err != nil {
		return false, err
	}
	var names []string
	err = a.with(ctx, func(s *session) error {
		list, err := s.members(ctx, sc, which{services: services, stopped: true})
		for _, m := range list {
			if stop || !m.runs() {
				names = append(names, m.name)
			}
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if len(names) == 0 {
		fmt.Fprintln(a.err, "No stopped containers")
		return false, nil
	}
	return a.confirm(ctx, "Going to remove "+strings.Join(names, ", ")+"\nAre you sure? [yN] ")
}

// confirm asks a question that only yes answers with yes. An interrupt while it waits for an answer is an error.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(a.err, question)
	line := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(a.in).ReadString('\n')
		line <- answer
	}()
	var answer string
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return false, context.Cause(ctx)
	case answer = <-line:
	}
	if answer == "" {
		fmt.Fprintln(a.err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
