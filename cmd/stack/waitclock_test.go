package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// Pulls take their time: what is left of it for the services counts from the end of the last one.
func TestWaitClockLeavesOutImages(t *testing.T) {
	pull := &plan.PullImage{Header: plan.Header{ID: "pull"}}
	start := &plan.StartContainer{Header: plan.Header{ID: "start"}}
	for name, c := range map[string]struct {
		plans []*plan.Plan // one a minute
		over  time.Duration
	}{
		"nothing to fetch": {[]*plan.Plan{{Operations: []plan.Operation{start}}}, 10 * time.Second},
		"a pull of a minute": {
			[]*plan.Plan{{Operations: []plan.Operation{pull, start}}}, time.Minute + 10*time.Second,
		},
		"another one in the next round": {
			[]*plan.Plan{{Operations: []plan.Operation{pull}}, {Operations: []plan.Operation{pull, start}}}, 2*time.Minute + 10*time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, clock, stop := newWaitClock(t.Context(), 10)
				defer stop()
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				began := time.Now()
				for _, p := range c.plans {
					clock.planned(p)
					if len(p.Operations) > 1 || p.Operations[0] == plan.Operation(pull) {
						time.Sleep(time.Minute)
						clock.event(execute.Event{Operation: pull, Phase: execute.Progress})
						clock.event(execute.Event{Operation: pull, Phase: execute.Done})
					}
				}
				if at, ok := child.Deadline(); !ok || at.Sub(began) != c.over {
					t.Errorf("the deadline is after %v, %t, want %v", at.Sub(began), ok, c.over)
				}
				<-child.Done()
				if took := time.Since(began); took != c.over {
					t.Errorf("it was over after %v, want %v", took, c.over)
				}
				for _, ctx := range []context.Context{ctx, child} {
					if !errors.Is(ctx.Err(), context.DeadlineExceeded) || context.Cause(ctx).Error() != "waiting for the services took more than 10 seconds" {
						t.Errorf("it ended with %v, because of %v", ctx.Err(), context.Cause(ctx))
					}
				}
			})
		})
	}
}

// Without a limit, and when somebody else ends the run, the clock says nothing.
func TestWaitClockThatDoesNotCount(t *testing.T) {
	ctx, clock, stop := newWaitClock(t.Context(), 0)
	clock.planned(&plan.Plan{})
	if _, bounded := ctx.Deadline(); bounded || clock != nil {
		t.Error("there is a clock without a limit")
	}
	stop()
	outer, interrupt := context.WithCancel(t.Context())
	ctx, clock, stop = newWaitClock(outer, 10)
	defer stop()
	clock.planned(&plan.Plan{})
	interrupt()
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("an interrupted run ended with %v", ctx.Err())
	}
}
