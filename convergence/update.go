package convergence

import (
	"context"
	"errors"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// UpdateError says what has become of an update by update_config that failed.
type UpdateError struct {
	Service string
	Outcome string // for example "the old containers are back"
	Err     error  // why it failed
}

func (e *UpdateError) Error() string {
	return "the update of " + e.Service + " failed: " + e.Err.Error() + "; " + e.Outcome
}

// Unwrap gives the failure.
func (e *UpdateError) Unwrap() error { return e.Err }

// updateErrors are those of a plan that failed and of what was done about it since. Who interrupts a run knows.
func updateErrors(ctx context.Context, p *plan.Plan, done *execute.Result, restored error) error {
	if interrupted(ctx) {
		return nil
	}
	var errs []error
	for _, u := range plan.UnfinishedUpdates(p, done.Done) {
		reason := reasonFor(u.Service, done)
		if reason == nil {
			continue
		}
		if restored != nil {
			u.Outcome = "not everything could be brought back that ran before"
		}
		errs = append(errs, &UpdateError{u.Service, u.Outcome, reason})
	}
	return errors.Join(errs...)
}

// reasonFor is the first failure of the service, without what its container has to say, or why nothing was begun.
func reasonFor(service string, done *execute.Result) error {
	for _, f := range done.Failures {
		if f.Operation.Head().Service == service {
			return f.Err
		}
	}
	for _, s := range done.Skipped {
		if s.Operation.Head().Service == service {
			return s.Err
		}
	}
	return nil
}
