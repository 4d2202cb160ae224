package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
)

type eventsOptions struct {
	json         bool
	since, until string
}

func newEvents(a *app) *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use:   "events [OPTIONS] [SERVICE...]",
		Short: "Show what happens to the project's containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvents(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "One JSON object a line")
	cmd.Flags().StringVar(&o.since, "since", "", "Begin at this time (2026-01-02T13:23:37Z) or duration (42m) in the past")
	cmd.Flags().StringVar(&o.until, "until", "", "End at this time or duration")
	return cmd
}

func runEvents(ctx context.Context, a *app, o eventsOptions, services []string) error {
	opts := events.ListOptions{}
	for _, t := range []struct {
		flag, value string
		out         *string
	}{{"--since", o.since, &opts.Since}, {"--until", o.until, &opts.Until}} {
		if t.value == "" {
			continue
		}
		at, err := parseTime(t.value, a.now())
		if err != nil {
			return usagef("value %q of %s is not a time such as 2026-01-02T13:23:37Z, or a duration such as 42m", t.value, t.flag)
		}
		*t.out = unixTime(at)
	}
	sc, err := a.scope(ctx)
	if err != nil {
		return err
	}
	opts.Filters = filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", desired.LabelProject+"="+sc.name),
	)
	return a.with(ctx, func(s *session) error {
		messages, failed := s.Events(ctx, opts)
		for {
			select {
			case m := <-messages:
				if err := showEvent(a, o, m, services); err != nil {
					return err
				}
			case err := <-failed:
				return untilInterrupted(ctx, ignoreEOF(err))
			}
		}
	})
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// eventRow has the fields that Compose prints, under its names.
type eventRow struct {
	Action     string            `json:"action"`
	Attributes map[string]string `json:"attributes"`
	ID         string            `json:"id"`
	Service    string            `json:"service"`
	Time       time.Time         `json:"time"`
	Type       string            `json:"type"`
}

func showEvent(a *app, o eventsOptions, m events.Message, services []string) error {
	service := m.Actor.Attributes[desired.LabelService]
	if service == "" || len(services) > 0 && !slices.Contains(services, service) {
		return nil
	}
	// What the project's tools noted down for themselves is no news.
	attributes := maps.Clone(m.Actor.Attributes)
	maps.DeleteFunc(attributes, func(name, _ string) bool {
		return strings.HasPrefix(name, "com.docker.compose.") || strings.HasPrefix(name, "dev.stack.")
	})
	row := eventRow{
		Action: string(m.Action), Attributes: attributes, ID: m.Actor.ID, Service: service,
		Time: time.Unix(0, m.TimeNano), Type: string(m.Type),
	}
	if o.json {
		return view.JSON(a.out, row)
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		pairs = append(pairs, name+"="+attributes[name])
	}
	_, err := fmt.Fprintf(a.out, "%s %s %s %s (%s)\n", row.Time.Format("2006-01-02 15:04:05.000000"), row.Type, row.Action, row.ID, view.Clean(strings.Join(pairs, ", ")))
	return err
}
