// Package fsnotify is the source of file events of this machine.
package fsnotify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fsnotify/fsnotify"

	"stackrun.dev/stack/watch"
)

// Source watches directories through the kernel. It implements watch.Directories.
type Source struct {
	watcher *fsnotify.Watcher
	events  chan struct{}
	watched map[string]os.FileInfo // by path
}

// New makes a source that watches nothing yet.
func New() (*Source, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	s := &Source{watcher: w, events: make(chan struct{}, 1), watched: map[string]os.FileInfo{}}
	go s.run()
	return s, nil
}

// Watcher makes a watch.Watcher with a source of its own.
func Watcher() (*watch.Watcher, error) {
	s, err := New()
	if err != nil {
		return nil, err
	}
	return watch.New(s), nil
}

// run passes on that something happened. A change of mode or times alone is no change of content.
func (s *Source) run() {
	defer close(s.events)
	for {
		select {
		case e, open := <-s.watcher.Events:
			if !open {
				return
			}
			if e.Op != fsnotify.Chmod {
				s.tell()
			}
		case _, open := <-s.watcher.Errors:
			if !open {
				return
			}
			s.tell() // for example an overflow: what has happened is not known
		}
	}
}

func (s *Source) tell() {
	select {
	case s.events <- struct{}{}:
	default: // one tells as much as two
	}
}

// Watch implements watch.Directories.
func (s *Source) Watch(dirs []string) error {
	var errs []error
	wanted := make(map[string]os.FileInfo, len(dirs))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if before := s.watched[dir]; err == nil && before != nil && os.SameFile(before, info) && s.knows(dir) {
			wanted[dir] = info
			continue
		}
		_ = s.watcher.Remove(dir) // of another directory that had the name
		if err == nil {
			err = s.watcher.Add(dir)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot watch %s: %w", dir, err))
			continue
		}
		wanted[dir] = info
	}
	for dir := range s.watched {
		if wanted[dir] == nil {
			_ = s.watcher.Remove(dir) // it may be gone
		}
	}
	s.watched = wanted
	return errors.Join(errs...)
}

// knows says that the kernel still watches: it stops when the directory is removed or renamed.
func (s *Source) knows(dir string) bool {
	for _, known := range s.watcher.WatchList() {
		if known == dir {
			return true
		}
	}
	return false
}

// Events implements watch.Directories.
func (s *Source) Events() <-chan struct{} { return s.events }

// Close implements watch.Directories.
func (s *Source) Close() error { return s.watcher.Close() }
