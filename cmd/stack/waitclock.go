package main

import (
	"context"
	"sync"
	"time"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// waitClock bounds how long a run may take from when its images are there. How long they take to fetch and to build says
// nothing about the services, and differs from one machine to the next.
type waitClock struct {
	limit time.Duration
	late  func() // ends the run's context

	mu      sync.Mutex
	timer   *time.Timer
	at      time.Time       // when the timer ends; the zero value while it does not run
	fetches map[string]bool // IDs of operations on images that are still to be done
}

// startedLater is a context whose deadline comes to be when the clock starts. It has a channel of its own, because contexts made
// of it would otherwise take the one inside for their parent, which knows of no deadline.
type startedLater struct {
	context.Context
	clock *waitClock
	done  chan struct{}
}

// unknown is a deadline that is not known yet.
const unknown = 100 * 365 * 24 * time.Hour

// Deadline implements context.Context.
func (c startedLater) Deadline() (time.Time, bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	if c.clock.at.IsZero() {
		return time.Now().Add(unknown), true
	}
	return c.clock.at, true
}

// Done implements context.Context.
func (c startedLater) Done() <-chan struct{} { return c.done }

// Err implements context.Context.
func (c startedLater) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	if _, late := context.Cause(c.Context).(lateError); late { //nolint:errorlint // the clock's own
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// newWaitClock returns a context that ends when the clock has run for so many seconds; 0: never, without a clock. It starts when
// planned is told of a plan without work on images, or event of the end of that work.
func newWaitClock(ctx context.Context, seconds int) (context.Context, *waitClock, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if seconds <= 0 {
		return ctx, nil, stop
	}
	c := &waitClock{limit: time.Duration(seconds) * time.Second, late: func() { cancel(lateError{"waiting for the services", seconds}) }}
	later := startedLater{ctx, c, make(chan struct{})}
	context.AfterFunc(ctx, func() { close(later.done) })
	return later, c, func() { c.halt(); stop() }
}

// planned learns what there is to do about images in a plan that is about to be carried out.
func (c *waitClock) planned(p *plan.Plan) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetches = make(map[string]bool)
	for _, op := range p.Operations {
		switch op.(type) {
		case *plan.PullImage, *plan.BuildImage:
			c.fetches[op.Head().ID] = true
		}
	}
	c.run()
}

// event learns that work on an image is over, whatever came of it.
func (c *waitClock) event(e execute.Event) {
	if c == nil {
		return
	}
	switch e.Phase {
	case execute.Done, execute.Failed, execute.Skipped, execute.Warned:
		c.mu.Lock()
		defer c.mu.Unlock()
		if id := e.Operation.Head().ID; c.fetches[id] {
			delete(c.fetches, id)
			c.run()
		}
	}
}

// run starts the clock if it does not run and nothing keeps it from that, and stops it if something does. c.mu is held.
func (c *waitClock) run() {
	switch waits := len(c.fetches) == 0; {
	case waits && c.at.IsZero():
		c.at, c.timer = time.Now().Add(c.limit), time.AfterFunc(c.limit, c.late)
	case !waits && !c.at.IsZero():
		c.timer.Stop()
		c.at = time.Time{}
	}
}

// halt stops the clock for good.
func (c *waitClock) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
