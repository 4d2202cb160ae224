package convergence

import (
	"context"
	"errors"
	"time"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// setbacks are failures after which a run goes on: the engine's answer was lost, or somebody else has changed the project
// meanwhile. What is to be done then, only a new look tells.
type setbacks struct {
	count   int
	err     error           // of the last round, if it was one
	blocked map[string]bool // IDs of operations that failed because of what is there: if they are planned again, nothing has changed
}

// maxSetbacks bounds how often a run goes on.
const maxSetbacks = 3

// setbackPause is how long a run waits after the first one, for an engine that is being replaced for example; then it is twice
// as long each time.
const setbackPause = 250 * time.Millisecond

// forgive says whether the run goes on after the failures, and keeps them for the case that nothing has changed. It waits for
// a moment.
func (s *setbacks) forgive(ctx context.Context, done *execute.Result, err error) bool {
	if s.count == maxSetbacks || ctx.Err() != nil {
		return false
	}
	blocked := make(map[string]bool)
	for i := range done.Failures {
		switch f := &done.Failures[i]; {
		case f.Lost():
		case f.Outdated():
			blocked[f.Operation.Head().ID] = !f.Creating()
		default:
			return false
		}
	}
	s.err, s.blocked = err, blocked
	return s.pause(ctx)
}

// unseen says whether the run goes on after it could not look, because the answer was lost.
func (s *setbacks) unseen(ctx context.Context, err error) bool {
	return err != nil && s.count < maxSetbacks && execute.Lost(err) && s.pause(ctx)
}

// pause counts the setback and waits for a moment; false: the run is over.
func (s *setbacks) pause(ctx context.Context) bool {
	timer := time.NewTimer(setbackPause << s.count)
	defer timer.Stop()
	s.count++
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// remain is what is left to report of the setbacks when the next plan is p, or cannot be made because of err.
func (s *setbacks) remain(p *plan.Plan, err error) error {
	was := s.err
	s.err = nil
	switch {
	case was == nil:
		return err
	case err != nil:
		return errors.Join(was, err)
	}
	for _, op := range p.Operations {
		if s.blocked[op.Head().ID] {
			return was
		}
	}
	return nil
}
