package execute

import (
	"context"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// watcher wakes waits when the engine tells that something happened to a container of the project. It subscribes with
// the first wait, so that plans without waits cost nothing, and again when the engine ends the stream of events: whether the
// engine is still there the waits find out, which look then.
type watcher struct {
	engine  engine.System
	project string

	start  sync.Once
	cancel context.CancelFunc
	done   chan struct{} // closed when nobody listens any more

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every event
}

// How long the watcher waits before it subscribes again: from the first time to the last, twice as long each time that a stream
// ends sooner than that.
const (
	firstResubscription = 100 * time.Millisecond
	lastResubscription  = 5 * time.Second
)

func newWatcher(e engine.System, project string) *watcher {
	return &watcher{engine: e, project: project, changed: make(chan struct{})}
}

// subscribe begins to listen. What happens after it returns is not missed.
func (w *watcher) subscribe() {
	w.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.done = cancel, make(chan struct{})
		messages, errs := w.events(ctx)
		go w.run(ctx, messages, errs)
	})
}

func (w *watcher) events(ctx context.Context) (<-chan events.Message, <-chan error) {
	return w.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", desired.LabelProject+"="+w.project),
	)})
}

// run listens to one stream after the other.
func (w *watcher) run(ctx context.Context, messages <-chan events.Message, errs <-chan error) {
	defer close(w.done)
	pause := firstResubscription
	for {
		began := time.Now()
		w.listen(messages, errs)
		if time.Since(began) > pause {
			pause = firstResubscription
		}
		if !sleep(ctx, nil, pause) {
			return
		}
		pause = min(2*pause, lastResubscription)
		messages, errs = w.events(ctx)
		w.wake() // what happened in between nobody has told
	}
}

// listen passes on what one stream tells.
func (w *watcher) listen(messages <-chan events.Message, errs <-chan error) {
	for {
		select {
		case _, open := <-messages:
			if !open {
				messages = nil
				continue
			}
			w.wake()
		case <-errs:
			return
		}
	}
}

func (w *watcher) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// next is closed at the next event.
func (w *watcher) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *watcher) close() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}
