package reader

import "errors"

// follow yields the last of the files from the offset on, and then what is written, until the log is complete. It
// looks whether the log is complete before it reads, so that what was written before is never missed.
func (r *reading) follow(files []file, offset int64) (err error) {
	f := follower{reading: r}
	defer func() { err = errors.Join(err, f.close()) }()
	if len(files) > 0 {
		f.current = files[len(files)-1] // the caller closes it
		f.lines = newLines(f.current.File, offset, -1)
	}
	until, stop := r.timeout()
	defer stop()
	for ended := false; ; {
		if err := f.catchUp(); err != nil {
			return err
		}
		if ended || f.removed() {
			return f.finish()
		}
		select {
		case <-r.watch.C:
		case <-r.opts.Done:
			ended = true
		case <-r.watch.Gone:
			ended = true
		case <-until:
			ended = true
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
}

// follower is the place in the log that a reading has come to.
type follower struct {
	*reading
	current file
	lines   *lines // nil while the log has no file
	own     bool   // current was opened by the follower
}

// catchUp yields everything that is there, across rotations.
func (f *follower) catchUp() error {
	for {
		if f.lines != nil {
			if err := f.drain(f.lines); err != nil {
				return err
			}
		}
		next, ok, err := f.next()
		if err != nil || !ok {
			return err
		}
		// A file is complete once its successor is there, but it may have grown since it was drained.
		err = f.finish()
		if err = errors.Join(err, f.close()); err != nil {
			return errors.Join(err, next.Close())
		}
		f.current, f.lines, f.own = next, newLines(next.File, 0, -1), true
	}
}

// next opens the file after the current one, or the oldest if there is no current one.
func (f *follower) next() (file, bool, error) {
	if f.lines != nil {
		return f.current.successor(f.path)
	}
	files, err := openAll(f.path)
	if err != nil || len(files) == 0 {
		return file{}, false, err
	}
	closeAll(files[1:])
	return files[0], true, nil
}

// removed says whether the log was deleted. The kernel does not tell that its directory is gone as long as a file that
// was in it is open.
func (f *follower) removed() bool {
	if f.lines == nil || !f.current.removed() {
		return false
	}
	numbers, err := listNumbers(f.path)
	return err == nil && len(numbers) == 0
}

// finish yields what is left in a file that is complete.
func (f *follower) finish() error {
	if f.lines == nil {
		return nil
	}
	return f.whole(f.lines)
}

func (f *follower) close() error {
	if !f.own {
		return nil
	}
	f.own = false
	return f.current.Close()
}
