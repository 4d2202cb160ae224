package main

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newImageLs(a *app) *cobra.Command {
	var all, quiet bool
	var format string
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List the engine's images",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(s *session) error {
				return runImageLs(cmd.Context(), s, all, quiet, format)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "Also images that only others are built on")
	f.BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	f.StringVar(&format, "format", "table", "table, json, or a Go template")
	return cmd
}

// imageRow has the fields that Docker prints, under its names.
type imageRow struct {
	Repository   string
	Tag          string
	ID           string
	CreatedSince string
	CreatedAt    string
	Size         string
}

func runImageLs(ctx context.Context, s *session, all, quiet bool, format string) error {
	list, err := s.ImageList(ctx, image.ListOptions{All: all})
	if err != nil {
		return err
	}
	if quiet {
		for _, i := range list {
			fmt.Fprintln(s.out, view.ShortID(i.ID))
		}
		return nil
	}
	var rows []imageRow
	for _, i := range list {
		rows = append(rows, imageRows(i, s.now())...)
	}
	return view.List(s.out, format, rows, true, func(rows []imageRow) view.Table {
		t := view.Table{Header: []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}}
		for _, r := range rows {
			t.Rows = append(t.Rows, []string{r.Repository, r.Tag, r.ID, r.CreatedSince, r.Size})
		}
		return t
	})
}

// imageRows is one row for each name of the image.
func imageRows(i image.Summary, now time.Time) []imageRow {
	created := time.Unix(i.Created, 0)
	row := imageRow{
		Repository: "<none>", Tag: "<none>", ID: view.ShortID(i.ID), Size: view.Bytes(i.Size),
		CreatedSince: view.Ago(now.Sub(created)) + " ago", CreatedAt: created.Format("2006-01-02 15:04:05 -0700 MST"),
	}
	if len(i.RepoTags) == 0 {
		return []imageRow{row}
	}
	rows := make([]imageRow, len(i.RepoTags))
	for n, ref := range i.RepoTags {
		rows[n] = row
		rows[n].Repository, rows[n].Tag = splitTag(ref)
	}
	return rows
}
