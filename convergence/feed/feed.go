// Package feed listens to an engine's events for long: a subscription that the engine ends is taken up again.
package feed

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// How long is waited before the next subscription: from the first time to the last, twice as long each time that a stream ends
// sooner than that.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Feed is a subscription. Subscribe makes it, Run passes on what it tells.
type Feed struct {
	ctx    context.Context
	engine engine.System
	opts   events.ListOptions
	stream
}

// stream is what one call of the engine's Events has returned.
type stream struct {
	messages <-chan events.Message
	over     <-chan error
	end      context.CancelFunc
}

// Containers asks for what happens to the containers of a project.
func Containers(project string) events.ListOptions {
	return events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", desired.LabelProject+"="+project),
	)}
}

// Subscribe begins to listen until the context is done. What happens after it returns is not missed.
func Subscribe(ctx context.Context, e engine.System, opts events.ListOptions) *Feed {
	f := &Feed{ctx: ctx, engine: e, opts: opts}
	f.subscribe()
	return f
}

func (f *Feed) subscribe() {
	ctx, end := context.WithCancel(f.ctx)
	f.stream = stream{end: end}
	f.messages, f.over = f.engine.Events(ctx, f.opts)
}

// Run passes on one event after the other until the context is done. It calls again after each subscription but the first, with
// why the one before was lost: what happened in between nobody has told. An error of again makes that one be lost, too.
func (f *Feed) Run(heard func(events.Message), again func(lost error) error) {
	pause, began := firstPause, time.Now()
	lost := f.listen(heard)
	f.end()
	for {
		if time.Since(began) > pause {
			pause = firstPause
		}
		if !f.wait(pause) {
			return
		}
		pause, began = min(2*pause, lastPause), time.Now()
		f.subscribe()
		if lost = again(lost); lost == nil {
			lost = f.listen(heard)
		}
		f.end()
	}
}

// listen passes on what one stream tells and returns why it ended.
func (f *Feed) listen(heard func(events.Message)) error {
	for {
		select {
		case m, open := <-f.messages:
			if !open {
				f.messages = nil
				continue
			}
			heard(m)
		case err := <-f.over:
			return err
		}
	}
}

func (f *Feed) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}
