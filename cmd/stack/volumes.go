package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
)

func newVolumes(a *app) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "volumes [OPTIONS] [SERVICE...]",
		Short: "List the project's volumes",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			sc, err := a.scope(ctx)
			if err != nil {
				return err
			}
			return a.with(ctx, func(s *session) error {
				rows, err := volumesOf(ctx, s, sc, args)
				if err != nil {
					return err
				}
				return showVolumes(a, rows, quiet, format)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a Go template")
	return cmd
}

// volumeRow has the fields that Compose prints, under its names.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string
}

// volumesOf lists the project's volumes, or those that the containers of some services use.
func volumesOf(ctx context.Context, s *session, sc scope, services []string) ([]volumeRow, error) {
	list, err := s.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", desired.LabelProject+"="+sc.name))})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	if len(services) > 0 {
		members, err := s.members(ctx, sc, which{services: services, stopped: true})
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			noteVolumes(used, m.Mounts)
		}
	}
	list = slices.DeleteFunc(list, func(v volume.Volume) bool { return len(services) > 0 && !used[v.Name] })
	rows := make([]volumeRow, len(list))
	for i, v := range list {
		rows[i] = volumeRow{
			Availability: "N/A", Driver: v.Driver, Group: "N/A", Labels: joinLabels(v.Labels), Links: "N/A",
			Mountpoint: v.Mountpoint, Name: v.Name, Scope: v.Scope, Size: "N/A", Status: "N/A",
		}
	}
	return rows, nil
}

func noteVolumes(used map[string]bool, mounts []container.MountPoint) {
	for _, m := range mounts {
		used[m.Name] = true
	}
}

func showVolumes(a *app, rows []volumeRow, quiet bool, format string) error {
	if quiet {
		for _, r := range rows {
			fmt.Fprintln(a.out, r.Name)
		}
		return nil
	}
	return view.List(a.out, format, rows, true, func(rows []volumeRow) view.Table {
		t := view.Table{Header: []string{"DRIVER", "VOLUME NAME"}}
		for _, r := range rows {
			t.Rows = append(t.Rows, []string{r.Driver, r.Name})
		}
		return t
	})
}
