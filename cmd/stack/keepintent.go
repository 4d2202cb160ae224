package main

import (
	"context"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/project"
)

// placeOf is where the intents about a project are, and under which key.
func (s *session) placeOf(ctx context.Context, name string) (run, key string, err error) {
	if run, err = s.runDir(); err != nil {
		return "", "", err
	}
	key, err = s.projectKey(ctx, name)
	return run, key, err
}

// intent reads what others have wanted of the project since the given time, for whoever keeps it.
func (s *session) intent(ctx context.Context, name string, since time.Time) func() (stopped []string, down bool) {
	return func() ([]string, bool) {
		run, key, err := s.placeOf(ctx, name)
		if err != nil {
			return nil, false
		}
		i, err := launch.ReadIntent(run, key)
		if err != nil {
			_ = s.warn([]project.Warning{{Text: err.Error()}})
		}
		return i.Stopped, i.Down && i.At.After(since)
	}
}

// announcing is the locker of whoever brings a project up: those who keep it as it was wished before learn of it.
func (s *session) announcing(lock convergence.Locker) convergence.Locker {
	return func(ctx context.Context, name string) (func(), error) {
		unlock, err := lock(ctx, name)
		if err != nil {
			return nil, err
		}
		s.begun = true
		if run, key, err := s.placeOf(ctx, name); err == nil {
			_ = launch.NoteUp(run, key) // where nobody can write, nobody learns of it: no reason not to go on
		}
		return unlock, nil
	}
}
