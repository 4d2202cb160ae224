package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newTop(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "top [SERVICE...]",
		Short: "List the processes of containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			sc, err := a.scope(ctx)
			if err != nil {
				return err
			}
			return a.with(ctx, func(s *session) error {
				list, err := s.members(ctx, sc, which{services: args})
				if err != nil {
					return err
				}
				for _, m := range list {
					top, err := s.ContainerTop(ctx, m.ID, nil)
					if err != nil {
						return err
					}
					fmt.Fprintln(a.out, m.name)
					if err := (view.Table{Header: top.Titles, Rows: top.Processes}).Write(a.out); err != nil {
						return err
					}
					fmt.Fprintln(a.out)
				}
				return nil
			})
		},
	}
}
