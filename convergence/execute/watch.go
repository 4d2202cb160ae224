package execute

import (
	"context"
	"io"
	"sync"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// watcher wakes waits when the engine tells that something happened to a container of the project. It subscribes with
// the first wait, so that plans without waits cost nothing.
type watcher struct {
	engine  engine.System
	project string

	start  sync.Once
	cancel context.CancelFunc
	done   chan struct{} // closed when the stream is over

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every event
	err     error         // why the stream is over
}

func newWatcher(e engine.System, project string) *watcher {
	return &watcher{engine: e, project: project, changed: make(chan struct{})}
}

// subscribe begins to listen. What happens after it returns is not missed.
func (w *watcher) subscribe() {
	w.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.done = cancel, make(chan struct{})
		messages, errs := w.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("label", desired.LabelProject+"="+w.project),
		)})
		go w.listen(messages, errs)
	})
}

func (w *watcher) listen(messages <-chan events.Message, errs <-chan error) {
	defer close(w.done)
	for {
		select {
		case _, open := <-messages:
			if !open {
				messages = nil
				continue
			}
			w.wake(nil)
		case err := <-errs:
			if err == nil {
				err = io.EOF
			}
			w.wake(err)
			return
		}
	}
}

func (w *watcher) wake(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	close(w.changed)
	w.changed = make(chan struct{})
}

// next is closed at the next event.
func (w *watcher) next() (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed, w.err
}

func (w *watcher) close() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}
