package watch

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"
)

// When a batch is over.
const (
	quietTime = 50 * time.Millisecond  // nothing has happened for so long: whoever saves several files is done
	batchTime = 500 * time.Millisecond // or so long has passed since its first event
)

// Watcher tells when one of a set of files has changed.
type Watcher struct {
	source  Source
	changed chan struct{}
	closing chan struct{}
	ended   chan struct{}

	mu    sync.Mutex
	files map[string]file
	dirs  []string        // that are watched for them, sorted
	which map[string]bool // of them have changed since somebody has asked
	since time.Time       // the first of these changes was noticed
}

// New makes a Watcher that owns the source. It watches nothing until Files is called.
func New(s Source) *Watcher {
	w := &Watcher{
		source: s, files: map[string]file{}, which: map[string]bool{},
		changed: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go w.run()
	return w
}

// Changed has a value when the content of one of the files is another one than before, or one has come or gone.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Which are the files that have changed since it was asked last, sorted, and when the first of the changes was noticed.
func (w *Watcher) Which() (paths []string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths, since = slices.Sorted(maps.Keys(w.which)), w.since
	w.which, w.since = map[string]bool{}, time.Time{}
	return paths, since
}

// Files says which files count from now on; they need not exist. What was written at or after since to one that did not count
// before is a change, so that nothing is missed between reading it and watching it; of the others what differs is, as ever. The
// error says which changes will not be seen.
func (w *Watcher) Files(paths []string, since time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.watch(paths)
	before := w.files
	w.files = make(map[string]file, len(paths))
	for _, path := range paths {
		was, known := before[path]
		f := was.look(path)
		w.files[path] = f
		if known && f.differs(was) || !known && f.exists && !f.modified.Before(since.Add(-clockStep)) {
			w.note(path, time.Now())
		}
	}
	return err
}

// clockStep is how far the times of files may lag behind the clock: the kernel's tick.
const clockStep = 10 * time.Millisecond

// Close ends the watching. Changed stays open.
func (w *Watcher) Close() error {
	close(w.closing)
	<-w.ended
	return w.source.Close()
}

// run makes batches of events.
func (w *Watcher) run() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the batch; zero when there is none
	for {
		select {
		case <-w.closing:
			return
		case _, open := <-w.source.Events():
			if !open {
				return
			}
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(min(quietTime, batchTime-time.Since(first)))
		case <-timer.C:
			w.compare(first)
			first = time.Time{}
		}
	}
}

// compare looks at the files after a batch that has begun then. Directories may have come and gone.
func (w *Watcher) compare(began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths := make([]string, 0, len(w.files))
	for path := range w.files {
		paths = append(paths, path)
	}
	_ = w.watch(paths) // whoever called Files knows
	for path, before := range w.files {
		now := before.look(path)
		w.files[path] = now
		if now.differs(before) {
			w.note(path, began)
		}
	}
}

// note keeps that a file has changed, and tells it. w.mu is held.
func (w *Watcher) note(path string, at time.Time) {
	w.which[path] = true
	if w.since.IsZero() {
		w.since = at
	}
	select {
	case w.changed <- struct{}{}:
	default: // it was told and nobody has looked yet
	}
}

// watch has the source watch the directories of the paths and no others. One that goes in the meantime is looked for again: the
// next one above it has to be watched then.
func (w *Watcher) watch(paths []string) (err error) {
	before := w.dirs
	for range mostLooks {
		w.dirs = directories(paths)
		before = append(before, w.dirs...)
		if err = w.add(); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for _, dir := range before {
		if _, wanted := slices.BinarySearch(w.dirs, dir); !wanted {
			w.source.Remove(dir)
		}
	}
	return err
}

// mostLooks is how often directories may go while they are being watched.
const mostLooks = 10

func (w *Watcher) add() error {
	var errs []error
	for _, dir := range w.dirs {
		errs = append(errs, w.source.Add(dir))
	}
	return errors.Join(errs...)
}
