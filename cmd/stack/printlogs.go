package main

import (
	"context"
	"errors"
	"iter"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
)

// logCursor stands before the next entry of one container's log.
type logCursor struct {
	label string
	next  func() (engine.LogEntry, error, bool)
	stop  func()
	entry engine.LogEntry
}

// printLogs prints the logs of several containers as one, in the order of time.
func printLogs(ctx context.Context, s *session, list []member, request container.LogsOptions, sink *view.Logs) (err error) {
	var cursors []*logCursor
	defer func() {
		for _, c := range cursors {
			c.stop()
		}
	}()
	for _, m := range list {
		sink.Add(m.label())
		c := &logCursor{label: m.label()}
		c.next, c.stop = iter.Pull2(s.ContainerLogs(ctx, m.ID, request))
		if more, err := c.advance(); err != nil {
			c.stop()
			return err
		} else if more {
			cursors = append(cursors, c)
		} else {
			c.stop()
		}
	}
	for len(cursors) > 0 {
		first := earliest(cursors)
		c := cursors[first]
		sink.Line(c.label, c.entry.Stream, c.entry.Time, c.entry.Line)
		more, err := c.advance()
		if err != nil {
			return err
		}
		if !more {
			sink.End(c.label)
			c.stop()
			cursors = append(cursors[:first], cursors[first+1:]...)
		}
	}
	return nil
}

// advance moves to the next entry and reports whether there is one.
func (c *logCursor) advance() (bool, error) {
	entry, err, ok := c.next()
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return false, err
	}
	c.entry = entry
	return ok && err == nil, nil
}

func earliest(cursors []*logCursor) int {
	first := 0
	for i, c := range cursors {
		if c.entry.Time.Before(cursors[first].entry.Time) {
			first = i
		}
	}
	return first
}
