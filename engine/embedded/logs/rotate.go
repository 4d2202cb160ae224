package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// rotate makes the current file Path.1 and begins a new one. Readers rely on the order: a file is complete before its
// successor appears at Path, and older files are renamed before younger ones. The new file is made first, so that a
// full disk changes nothing: then the writer goes on with the file that it has.
func (w *Writer) rotate() error {
	next := w.cfg.Path + ".new"
	f, err := os.OpenFile(next, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot rotate the log: %w", err)
	}
	if err := w.shift(next); err != nil {
		return errors.Join(fmt.Errorf("cannot rotate the log: %w", err), f.Close())
	}
	err = w.file.Close()
	w.file, w.size, w.torn = f, 0, false
	return err
}

// shift renames the files to the next older names, up to the first name that is free; if none is, the oldest file's
// place is taken.
func (w *Writer) shift(next string) error {
	free := 1
	for free < w.cfg.MaxFile-1 && exists(w.name(free)) {
		free++
	}
	for i := min(free, w.cfg.MaxFile-1) - 1; i >= 0; i-- {
		if err := os.Rename(w.name(i), w.name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(next, w.cfg.Path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// name returns the path of the i-th file, 0 being the current one.
func (w *Writer) name(i int) string {
	if i == 0 {
		return w.cfg.Path
	}
	return w.cfg.Path + "." + strconv.Itoa(i)
}

// dropSurplus removes the files of an earlier configuration that kept more. Failing to do so harms nothing.
func (w *Writer) dropSurplus() {
	for i := w.cfg.MaxFile; os.Remove(w.name(i)) == nil; i++ {
	}
}
