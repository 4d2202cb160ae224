package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newVersion(a *app) *cobra.Command {
	var short bool
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the version of stack",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case short:
				fmt.Fprintln(a.out, version)
			case format == "json":
				return view.JSON(a.out, map[string]string{"version": version})
			case format != "" && format != "pretty":
				return usagef("value %q of --format is not one of pretty, json", format)
			default:
				fmt.Fprintln(a.out, "stack version "+version)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "Only the version")
	cmd.Flags().StringVarP(&format, "format", "f", "", "pretty or json")
	return cmd
}
