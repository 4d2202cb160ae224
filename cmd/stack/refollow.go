package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/engine"
)

// position is up to where a log was read: so many of the entries of that time, and all before them. What a container writes at once
// has one time, so that a time alone is no position.
type position struct {
	at time.Time
	n  int
}

// beyond says that more was read.
func (p position) beyond(other position) bool {
	return p.at.After(other.at) || p.at.Equal(other.at) && p.n > other.n
}

// isNew takes in an entry of that time, and says whether it was not printed before. An engine may give more than it was asked for.
func (e *followed) isNew(at time.Time) bool {
	if at.IsZero() { // it does not say
		return true
	}
	switch {
	case at.Before(e.after.at):
		return false
	case at.After(e.last.at):
		e.last = position{at: at, n: 1}
	case at.Equal(e.last.at):
		e.last.n++
	}
	return e.last.beyond(e.after)
}

// maxCuts bounds how often in a row the log of a container may break off, without a line in between, while the engine is there.
const maxCuts = 3

// brokenOff takes in that the log of a container could not be read to its end, or that nobody can say what its end means. So many
// times it has broken off before.
func (f *follower) brokenOff(ctx context.Context, e *followed, cuts int, looking error) error {
	stays := f.session.life.stays()
	switch {
	case !stays && execute.Lost(looking):
		return errGone
	case !stays || !execute.Lost(cmp.Or(looking, e.err)) || cuts >= maxCuts:
		return cmp.Or(e.err, looking)
	}
	f.cut[e.member.ID] = cuts + 1
	if looking == nil { // there is an engine already
		f.followOn(ctx, e.member)
	} // else the subscription has ended, too, and all that was cut off is followed on when that is noticed
	return nil
}

// lost takes in that the engine tells its events no more.
func (f *follower) lost(ctx context.Context, err error) error {
	f.messages, f.failed = nil, nil
	if !errors.Is(err, io.EOF) && !execute.Lost(err) || ctx.Err() != nil {
		return err
	}
	f.deaf = true
	if f.up != nil { // whoever brings the project up is told by his own calls
		return nil
	}
	return f.rejoin(ctx)
}

// rejoin listens to the engine again, and follows what has happened meanwhile, which nobody has told.
func (f *follower) rejoin(ctx context.Context) error {
	if err := f.calm(ctx); err != nil {
		return err
	}
	if err := f.session.life.back(ctx); err != nil {
		return err
	}
	f.deaf, f.stirred = false, true
	f.subscribe(ctx)
	if err := f.catchUp(ctx); err != nil && !execute.Lost(err) { // else the subscription is lost again, too
		return err
	}
	return nil
}

// calmTime is how long one subscription lasts at least before the next: an engine that is leaving still answers, and ends it at once.
const calmTime = 100 * time.Millisecond

func (f *follower) calm(ctx context.Context) error {
	if !f.session.life.stays() {
		return errGone
	}
	rest := time.NewTimer(calmTime - f.session.now().Sub(f.heard))
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp follows what runs, has run or has ended since the engine told its events last.
func (f *follower) catchUp(ctx context.Context) error {
	list, err := f.session.members(ctx, scope{name: f.scope.name}, which{stopped: true})
	if err != nil {
		return err
	}
	cut := f.cut
	waiting := f.waiting
	f.cut, f.waiting = map[string]int{}, map[string]bool{}
	for _, m := range list {
		if !f.concerns(m) || m.State == container.StateCreated || f.active[m.ID] != nil {
			continue
		}
		f.sink.Add(m.label())
		was := cut[m.ID] > 0 || waiting[m.ID] || m.runs()
		if !was {
			if was, err = f.hasRun(ctx, m); err != nil {
				f.cut, f.waiting = cut, waiting
				return err
			}
		}
		if was {
			f.followOn(ctx, m)
		}
	}
	return nil
}

// hasRun says that a container that does not run has been another time since its exit was taken in.
func (f *follower) hasRun(ctx context.Context, m member) (bool, error) {
	state, err := f.session.ContainerInspect(ctx, m.ID)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !f.known[m.ID]:
		return f.endedSince(state.State), nil
	}
	return f.over[m.ID] != state.State.FinishedAt, nil
}
