package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
)

func newImages(a *app) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "images [OPTIONS] [SERVICE...]",
		Short: "List the images that the project's containers were made from",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			sc, err := a.scope(ctx)
			if err != nil {
				return err
			}
			return a.with(ctx, func(s *session) error {
				list, err := s.members(ctx, sc, which{services: args, stopped: true})
				if err != nil {
					return err
				}
				return showImages(ctx, s, list, quiet, format)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a Go template")
	return cmd
}

// imagesRow has the fields that Compose prints, under its names.
type imagesRow struct {
	ID            string
	ContainerName string
	Repository    string
	Tag           string
	Platform      string
	Size          int64
	Created       string     `json:",omitempty"`
	LastTagTime   *time.Time `json:",omitempty"`
}

func showImages(ctx context.Context, s *session, list []member, quiet bool, format string) error {
	rows, err := imagesOf(ctx, s, list)
	if err != nil {
		return err
	}
	if quiet {
		var ids []string
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			fmt.Fprintln(s.out, id)
		}
		return nil
	}
	return view.List(s.out, format, rows, false, func(rows []imagesRow) view.Table {
		t := view.Table{Header: []string{"CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE"}}
		for _, r := range rows {
			t.Rows = append(t.Rows, []string{r.ContainerName, r.Repository, r.Tag, r.Platform, view.ShortID(r.ID), view.Bytes(r.Size)})
		}
		return t
	})
}

// imagesOf asks for each image once. One that was removed while its container stayed is left out.
func imagesOf(ctx context.Context, s *session, list []member) ([]imagesRow, error) {
	known := map[string]*imagesRow{}
	var rows []imagesRow
	for _, m := range list {
		base, ok := known[m.ImageID]
		if !ok {
			i, err := s.ImageInspect(ctx, m.ImageID)
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return nil, err
			}
			if err == nil {
				base = &imagesRow{ID: i.ID, Platform: i.Os + "/" + i.Architecture, Size: i.Size, Created: i.Created}
				if !i.Metadata.LastTagTime.IsZero() {
					base.LastTagTime = &i.Metadata.LastTagTime
				}
				base.Repository, base.Tag = "<none>", "<none>"
				if len(i.RepoTags) > 0 {
					base.Repository, base.Tag = splitTag(i.RepoTags[0])
				}
			}
			known[m.ImageID] = base
		}
		if base == nil {
			continue
		}
		row := *base
		row.ContainerName = m.name
		if repository, tag := splitTag(m.Image); tag != "" && !strings.HasPrefix(m.Image, "sha256:") {
			row.Repository, row.Tag = repository, tag
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b imagesRow) int { return cmp.Compare(a.ContainerName, b.ContainerName) })
	return rows, nil
}
