package embedded

import (
	"context"
	"iter"
	"strconv"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	timetypes "github.com/docker/docker/api/types/time"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/logs/reader"
)

// ContainerWait implements engine.Containers.
func (e *Engine) ContainerWait(ctx context.Context, ref string, cond dockercontainer.WaitCondition) (<-chan dockercontainer.WaitResponse, <-chan error) {
	responses, errs := make(chan dockercontainer.WaitResponse, 1), make(chan error, 1)
	c, err := e.find(ref)
	if err != nil {
		errs <- err
		return responses, errs
	}
	begin, _ := c.Watch()
	done, err := waitFor(cond, begin)
	if err != nil {
		errs <- err
		return responses, errs
	}
	go func() {
		end, err := c.Await(ctx, done)
		if err != nil {
			errs <- err
			return
		}
		responses <- waitResponse(cond, end)
	}()
	return responses, errs
}

func waitFor(cond dockercontainer.WaitCondition, begin container.Moment) (func(container.Moment) bool, error) {
	switch cond {
	case "", dockercontainer.WaitConditionNotRunning:
		return func(m container.Moment) bool {
			return m.Removed || !m.State.Active() && m.State.Phase != lifecycle.Restarting
		}, nil
	case dockercontainer.WaitConditionNextExit:
		return func(m container.Moment) bool { return m.Removed || m.Exits != begin.Exits }, nil
	case dockercontainer.WaitConditionRemoved:
		return func(m container.Moment) bool { return m.Removed }, nil
	default:
		return nil, engine.Errorf(engine.ErrInvalid, "invalid condition: %q", cond)
	}
}

func waitResponse(cond dockercontainer.WaitCondition, end container.Moment) dockercontainer.WaitResponse {
	response := dockercontainer.WaitResponse{StatusCode: int64(end.State.ExitCode)}
	switch {
	case cond == dockercontainer.WaitConditionNextExit && end.Exits > 0:
		// It may run again already.
		response.StatusCode = int64(end.LastExit)
	case cond == dockercontainer.WaitConditionRemoved: // it is gone as wanted; who started it knows why it failed
	case end.State.Error != "":
		response.Error = &dockercontainer.WaitExitError{Message: end.State.Error}
	}
	return response
}

// ContainerLogs implements engine.Containers.
func (e *Engine) ContainerLogs(ctx context.Context, ref string, opts dockercontainer.LogsOptions) iter.Seq2[engine.LogEntry, error] {
	return func(yield func(engine.LogEntry, error) bool) {
		c, err := e.find(ref)
		if err != nil {
			yield(engine.LogEntry{}, err)
			return
		}
		record := c.Record()
		path := e.logPath(&record)
		if path == "" {
			yield(engine.LogEntry{}, engine.Errorf(engine.ErrUnsupported, "cannot read the log of container %s: it keeps none", record.Name))
			return
		}
		read, err := readOptions(opts, time.Now())
		if err != nil {
			yield(engine.LogEntry{}, err)
			return
		}
		if read.Follow {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			read.Done = runOver(ctx, c)
		}
		for entry, err := range reader.Read(ctx, path, read) {
			if !yield(entry, err) {
				return
			}
		}
	}
}

// runOver returns a channel that is closed when the container's present run is over, which is at once if there is none. It is
// not closed because the context is done: that is no end of the run.
func runOver(ctx context.Context, c *container.Container) <-chan struct{} {
	over := make(chan struct{})
	begin, _ := c.Watch()
	go func() {
		_, err := c.Await(ctx, func(m container.Moment) bool {
			return m.Removed || m.Exits != begin.Exits || !m.State.Active()
		})
		if err == nil {
			close(over)
		}
	}()
	return over
}

func readOptions(opts dockercontainer.LogsOptions, now time.Time) (reader.Options, error) {
	read := reader.Options{Tail: -1, Stdout: opts.ShowStdout, Stderr: opts.ShowStderr, Follow: opts.Follow}
	if !opts.ShowStdout && !opts.ShowStderr {
		return read, engine.Errorf(engine.ErrInvalid, "cannot read a log: choose at least one stream, stdout or stderr")
	}
	if opts.Tail != "" && opts.Tail != "all" {
		n, err := strconv.Atoi(opts.Tail)
		if err != nil {
			return read, engine.Errorf(engine.ErrInvalid, "cannot read a log: bad tail %q: write a number or all", opts.Tail)
		}
		read.Tail = max(n, -1)
	}
	var err error
	if read.Since, err = logTime(opts.Since, now); err != nil {
		return read, err
	}
	read.Until, err = logTime(opts.Until, now)
	return read, err
}

// logTime reads a Unix time with an optional fraction, an RFC 3339 time, or a duration before now.
func logTime(value string, now time.Time) (time.Time, error) {
	if value == "" || value == "0" {
		return time.Time{}, nil
	}
	if before, err := time.ParseDuration(value); err == nil {
		return now.Add(-before), nil
	}
	stamp, err := timetypes.GetTimestamp(value, now)
	if err != nil {
		return time.Time{}, engine.Errorf(engine.ErrInvalid, "cannot read a log: bad time %q: %w", value, err)
	}
	seconds, nanos, err := timetypes.ParseTimestamps(stamp, 0)
	if err != nil {
		return time.Time{}, engine.Errorf(engine.ErrInvalid, "cannot read a log: bad time %q: %w", value, err)
	}
	return time.Unix(seconds, nanos), nil
}
