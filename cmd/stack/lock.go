package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/engine"
)

// patience is the value of --lock-timeout: how long to wait for another run. The zero value: as long as it takes.
type patience struct {
	limited bool
	limit   time.Duration
}

func (p *patience) String() string {
	if p == nil || !p.limited {
		return ""
	}
	return p.limit.String()
}

// Set reads a duration; a number alone is seconds.
func (p *patience) Set(text string) error {
	limit, err := time.ParseDuration(text)
	if seconds, numberErr := strconv.ParseUint(text, 10, 31); numberErr == nil {
		limit, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || limit < 0 {
		return fmt.Errorf("%q is not a duration such as 30s or 5m, or 0", text)
	}
	*p = patience{limited: true, limit: limit}
	return nil
}

func (p *patience) Type() string { return "duration" }

// locker keeps two runs on one project apart and tells the user when it has to wait for the other.
func (s *session) locker(say func(string)) convergence.Locker {
	return func(ctx context.Context, name string) (func(), error) {
		resume, err := s.holdKeeper(ctx, name)
		if err != nil {
			return nil, err
		}
		lock, err := s.lock(ctx, name, say)
		if err != nil {
			resume()
			return nil, err
		}
		return func() {
			_ = lock.Release()
			resume()
		}, nil
	}
}

// lock takes the project's lock. On an engine that others use too it keeps them away as well, where there is a directory that all
// can write to.
func (s *session) lock(ctx context.Context, name string, say func(string)) (*launch.ProjectLock, error) {
	key, err := s.projectKey(ctx, name)
	if err != nil {
		return nil, err
	}
	run, err := s.runDir()
	if err != nil {
		return nil, err
	}
	places := []launch.Locks{launch.OwnLocks(run)}
	if !s.target.Embedded && s.sharedLocks.Dir != "" {
		places = []launch.Locks{s.sharedLocks, places[0]}
	}
	for _, place := range places {
		var lock *launch.ProjectLock
		if lock, err = s.lockAt(ctx, place, key, name, say); err == nil || !unusable(err) {
			return lock, err
		}
	}
	if s.target.Embedded {
		return nil, err
	}
	say(fmt.Sprintf("cannot keep other runs away from project %s: %v", name, err))
	return nil, nil
}

// unusable says that there is no place for locks, not that somebody has the lock.
func unusable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EROFS)
}

func (s *session) lockAt(ctx context.Context, at launch.Locks, key, name string, say func(string)) (*launch.ProjectLock, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	limit := s.global.lockTimeout
	return launch.LockProject(ctx, at, key, launch.NewHolder(s.commandLine, s.now()), func(h launch.Holder) error {
		switch {
		case limit.limited && limit.limit == 0:
			return engine.Errorf(engine.ErrConflict, "%s is working on project %s; try again when it is done", h, name)
		case limit.limited:
			timer = time.AfterFunc(limit.limit, func() {
				giveUp(engine.Errorf(engine.ErrConflict, "%s has not finished its work on project %s within %s", h, name, limit.limit))
			})
		}
		say(fmt.Sprintf("%s is working on project %s; waiting for it", h, name))
		return nil
	})
}

// runDir is where this user's locks and intents are, whatever the engine is.
func (s *session) runDir() (string, error) {
	if s.target.Embedded {
		return s.target.Run, nil
	}
	own, err := launch.Embedded(s.getenv)
	return own.Run, err
}

// commandLine is the command with its switches, for others to read. Values are left out: they may be secret.
func commandLine(cmd *cobra.Command) string {
	text := cmd.CommandPath()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case f.Value.Type() != "bool":
		case f.Shorthand != "":
			text += " -" + f.Shorthand
		default:
			text += " --" + f.Name
		}
	})
	return text
}
