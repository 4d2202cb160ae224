package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"stackrun.dev/stack/engine"
)

// Read yields the entries of the log at path, oldest first. A log that is not there is empty. Lines that were torn by a
// crash are skipped. A cancelled context ends the sequence with the context's error.
func Read(ctx context.Context, path string, opts Options) iter.Seq2[engine.LogEntry, error] {
	return func(yield func(engine.LogEntry, error) bool) {
		r := &reading{ctx: ctx, path: path, opts: opts, yield: yield}
		err := r.run()
		if err != nil && !errors.Is(err, errEnd) {
			yield(engine.LogEntry{}, fmt.Errorf("cannot read the log %s: %w", path, err))
		}
	}
}

// errEnd ends a reading early: the caller has had enough, or the entries are beyond Options.Until.
var errEnd = errors.New("end of the reading")

// reading is one call of Read.
type reading struct {
	ctx   context.Context
	path  string
	opts  Options
	yield func(engine.LogEntry, error) bool

	watch *watch // nil unless the log is followed
}

func (r *reading) run() (err error) {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.opts.Follow {
		if r.watch, err = shared.subscribe(filepath.Dir(r.path)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, shared.unsubscribe(r.watch)) }()
	}
	files, err := openAll(r.path)
	if err != nil {
		return err
	}
	defer closeAll(files)
	first, offset, err := r.begin(files)
	if err != nil {
		return err
	}
	for i := first; i < len(files); i++ {
		last := i == len(files)-1
		if last && r.opts.Follow {
			break
		}
		if err := r.whole(newLines(files[i].File, offset, files[i].size)); err != nil {
			return err
		}
		offset = 0
	}
	if r.opts.Follow {
		return r.follow(files, offset)
	}
	return nil
}

// begin finds the file and the place in it where the wanted tail begins.
func (r *reading) begin(files []file) (first int, offset int64, err error) {
	if r.opts.Tail < 0 || len(files) == 0 {
		return 0, 0, nil
	}
	if r.opts.Tail == 0 {
		last := len(files) - 1
		return last, files[last].size, nil
	}
	missing := r.opts.Tail
	for i := len(files) - 1; i >= 0; i-- {
		offset, missing, err = tailOffset(files[i].File, files[i].size, missing, r.counts)
		if err != nil || missing == 0 {
			return i, offset, err
		}
	}
	return 0, 0, nil
}

// counts says whether a line is one of those of which the caller wants the last few.
func (r *reading) counts(line []byte) bool {
	e, ok := decode(line)
	return ok && r.wants(e) && !r.beyond(e)
}

func (r *reading) wants(e engine.LogEntry) bool {
	switch e.Stream {
	case "stdout":
		return r.opts.Stdout
	case "stderr":
		return r.opts.Stderr
	}
	return false
}

func (r *reading) beyond(e engine.LogEntry) bool {
	return !r.opts.Until.IsZero() && e.Time.After(r.opts.Until)
}

// whole yields the lines of a file, and what follows the last newline if that is an entry.
func (r *reading) whole(l *lines) error {
	if err := r.drain(l); err != nil {
		return err
	}
	return r.line(l.rest())
}

// drain yields the lines that are there.
func (r *reading) drain(l *lines) error {
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.line(line); err != nil {
			return err
		}
	}
}

func (r *reading) line(line []byte) error {
	e, ok := decode(line)
	if !ok {
		return nil
	}
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.beyond(e):
		return errEnd
	case !r.wants(e) || e.Time.Before(r.opts.Since):
		return nil
	case !r.yield(e, nil):
		return errEnd
	}
	return nil
}

// timeout returns a channel that yields when Options.Until has passed, nil for never, and a function to stop waiting.
func (r *reading) timeout() (<-chan time.Time, func() bool) {
	if r.opts.Until.IsZero() {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(time.Until(r.opts.Until))
	return t.C, t.Stop
}
