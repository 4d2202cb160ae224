package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

func newWait(a *app) *cobra.Command {
	var down bool
	cmd := &cobra.Command{
		Use:   "wait [OPTIONS] SERVICE [SERVICE...]",
		Short: "Wait until a container of the services has exited, and exit with its code",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			sc, err := a.scope(ctx)
			if err != nil {
				return err
			}
			return a.with(ctx, func(s *session) error {
				code, err := s.waitFirst(ctx, sc, args)
				if err != nil {
					return err
				}
				if down {
					if err := s.down(ctx, sc, plan.DownOptions{}); err != nil {
						return err
					}
				}
				if code != 0 {
					return exitCode(code)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&down, "down-project", false, "Then take the project down")
	return cmd
}

// waitFirst prints the exit code of the first container that exits, and returns it.
func (s *session) waitFirst(ctx context.Context, sc scope, services []string) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := s.members(ctx, sc, which{services: services})
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, engine.Errorf(engine.ErrNotFound, "no container of these services runs")
	}
	type exit struct {
		member member
		code   int64
		err    error
	}
	first := make(chan exit, len(list))
	for _, m := range list {
		done, failed := s.ContainerWait(ctx, m.ID, container.WaitConditionNotRunning)
		go func() {
			select {
			case r := <-done:
				first <- exit{m, r.StatusCode, nil}
			case err := <-failed:
				first <- exit{m, 0, err}
			}
		}()
	}
	e := <-first
	if e.err != nil {
		return 0, e.err
	}
	fmt.Fprintf(s.out, "container %q exited with status code %d\n", e.member.name, e.code)
	return int(e.code), nil
}
