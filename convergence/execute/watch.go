package execute

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence/feed"
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

func newWatcher(e engine.System, project string) *watcher {
	return &watcher{engine: e, project: project, changed: make(chan struct{})}
}

// subscribe begins to listen. What happens after it returns is not missed.
func (w *watcher) subscribe() {
	w.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.done = cancel, make(chan struct{})
		told := feed.Subscribe(ctx, w.engine, feed.Containers(w.project))
		go func() {
			defer close(w.done)
			told.Run(func(events.Message) { w.wake() }, func(error) error {
				w.wake() // what happened in between nobody has told
				return nil
			})
		}()
	})
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
