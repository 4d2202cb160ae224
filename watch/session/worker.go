package session

import (
	"context"
	"fmt"
	"time"
)

// worker does what one service asks for, one thing after the other.
type worker struct {
	service string
	actions Actions
	report  func(Report)
	mirror  mirror // is used by steps only, of which one runs at a time

	inbox *queue
	ended chan finished
	timer *time.Timer
	stop  context.CancelFunc // ends the step that runs

	state state
}

func newWorker(service string, files Files, actions Actions, report func(Report)) *worker {
	w := &worker{
		service: service, actions: actions, report: report, mirror: mirror{files: files},
		inbox: newQueue(), ended: make(chan finished, 1), timer: time.NewTimer(0), stop: func() {},
	}
	w.timer.Stop()
	return w
}

// run works until ctx ends, and with it the step that runs then.
func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			w.leave()
			return
		case <-w.inbox.some: // what the session tells
			for _, e := range w.inbox.take() {
				w.handle(ctx, e)
			}
		case e := <-w.ended: // the step has
			w.stop()
			w.handle(ctx, e)
		case <-w.timer.C: // what could not be done is tried again
			w.handle(ctx, woken{time.Now()})
		}
	}
}

// leave waits for the step, which sees that the context has ended.
func (w *worker) leave() {
	w.timer.Stop()
	if w.state.running != nil {
		<-w.ended
	}
}

func (w *worker) handle(ctx context.Context, e event) {
	var out []action
	w.state, out = next(w.state, e)
	for _, a := range out {
		switch a := a.(type) {
		case start:
			var step context.Context
			step, w.stop = context.WithCancel(ctx)
			go func() { w.ended <- w.perform(step, a.step) }()
		case cancel:
			w.stop()
		case tell:
			a.report.Service, a.report.Took = w.service, max(time.Since(a.since)-a.report.Waited, 0)
			w.report(a.report)
		case wake:
			w.timer.Reset(a.after)
		default:
			panic(fmt.Sprintf("session: an action that is not known: %T", a))
		}
	}
}

// perform does one step. A fault of ours in it fails that step, and the others go on.
func (w *worker) perform(ctx context.Context, s step) (done finished) {
	defer func() {
		if err := caught(recover()); err != nil {
			done.err = err
		}
		done.at = time.Now()
	}()
	switch s := s.(type) {
	case copyStep:
		done.synced, done.err = w.copy(ctx, s)
	case restartStep:
		done.waited, done.err = w.actions.Restart(ctx, w.service, s.only)
	case signalStep:
		done.err = w.actions.Signal(ctx, w.service, s.signal)
	case execStep:
		done.err = w.actions.Exec(ctx, w.service, s.hook, s.only)
	case rebuildStep:
		done.waited, done.err = w.actions.Rebuild(ctx, w.service)
	default:
		panic(fmt.Sprintf("session: a step that is not known: %T", s))
	}
	return done
}

func (w *worker) copy(ctx context.Context, s copyStep) (Synced, error) {
	var all Synced
	for _, work := range w.mirror.work(s.rules, s.copies, s.compare) {
		done, err := w.actions.Sync(ctx, w.service, work)
		all = sum(all, done)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
