package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

type logsOptions struct {
	follow, timestamps, noPrefix, noColor bool

	tail, since, until string
	index              int
}

func newLogs(a *app) *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] [SERVICE...]",
		Short: "Show what containers wrote, oldest first",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "Go on with what they write now")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "Show times")
	f.BoolVar(&o.noPrefix, "no-log-prefix", false, "Do not show which container wrote it")
	f.BoolVar(&o.noColor, "no-color", false, "Do not colour the prefixes")
	f.StringVarP(&o.tail, "tail", "n", "all", "How many of the last lines of each container")
	f.StringVar(&o.since, "since", "", "Only lines after this time (2026-01-02T13:23:37Z) or of this duration (42m)")
	f.StringVar(&o.until, "until", "", "Only lines before this time or duration")
	f.IntVar(&o.index, "index", 0, "The container of this number, if the service has several")
	return cmd
}

func runLogs(ctx context.Context, a *app, o logsOptions, services []string) error {
	request, err := o.request(a.now())
	if err != nil {
		return err
	}
	sc, err := a.scope(ctx)
	if err != nil {
		return err
	}
	sink, err := a.logSink(o.noColor, o.noPrefix, o.timestamps)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s *session) error {
		w := which{services: services, stopped: true, index: o.index}
		if o.follow {
			f := &follower{session: s, scope: sc, which: w, request: request, sink: sink}
			f.exited = f.announceExit
			return untilInterrupted(ctx, f.run(ctx))
		}
		list, err := s.members(ctx, sc, w)
		if err != nil {
			return err
		}
		return printLogs(ctx, s, list, request, sink)
	})
}

func (a *app) logSink(noColor, noPrefix, timestamps bool) (*view.Logs, error) {
	style, err := a.style(a.out)
	if err != nil {
		return nil, err
	}
	if noColor {
		style = view.Style{}
	}
	return &view.Logs{Out: a.out, Style: style, NoPrefix: noPrefix, Timestamps: timestamps}, nil
}

// request is the options in the engine's terms.
func (o logsOptions) request(now time.Time) (container.LogsOptions, error) {
	r := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.follow, Tail: o.tail}
	if n, err := strconv.Atoi(o.tail); o.tail != "all" && (err != nil || n < 0) {
		return r, usagef("value %q of --tail is not a number of lines, or all", o.tail)
	}
	for _, t := range []struct {
		flag, value string
		out         *string
	}{{"--since", o.since, &r.Since}, {"--until", o.until, &r.Until}} {
		if t.value == "" {
			continue
		}
		at, err := parseTime(t.value, now)
		if err != nil {
			return r, usagef("value %q of %s is not a time such as 2026-01-02T13:23:37Z, a duration such as 42m, or seconds since 1970", t.value, t.flag)
		}
		*t.out = unixTime(at)
	}
	return r, nil
}

// timeFormats are those that Docker takes; what has no zone is local time.
var timeFormats = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15Z07:00", "2006-01-02T15",
	"2006-01-02Z07:00", "2006-01-02 15:04:05", "2006-01-02",
}

// parseTime reads a time, a duration before now, or seconds since 1970.
func parseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, format := range timeFormats {
		if t, err := time.ParseInLocation(format, text, time.Local); err == nil {
			return t, nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, int64(seconds*1e9)), nil
}

// unixTime is how the Docker Engine API wants a time: seconds and nanoseconds.
func unixTime(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
