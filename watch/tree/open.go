package tree

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/watch"
)

// Options of a Tree.
type Options struct {
	// Told is called with what cannot be watched or read, once each; it must not call the Tree. nil: nobody is told.
	Told func(error)
}

// Tree knows the files below the roots. Its methods may be called at the same time.
type Tree struct {
	source  watch.Source
	options Options
	batches chan Batch
	closing chan struct{}
	once    sync.Once
	ended   sync.WaitGroup
	pending *pending
	raw     chan struct{} // there are files to be read

	mu      sync.Mutex // held while the disk is looked at
	top     *dir
	partial bool   // a Watch was cut short, so that what is known is no answer
	shown   bool   // by Each, since the last look
	unread  []*dir // with files whose content is not known
	told    map[string]struct{}

	emptyFiles places // that were left for later, since they may be being written

	// What events are about. Written with both locks held, so either is enough to read it.
	index  sync.RWMutex
	scope  *scope
	dirs   map[string]*dir // by path
	guards guards
}

// Open makes a Tree that owns the source. It watches nothing until Watch is called.
func Open(source watch.Source, o Options) *Tree {
	t := &Tree{
		source: source, options: o, batches: make(chan Batch), closing: make(chan struct{}), pending: newPending(),
		raw: make(chan struct{}, 1), top: &dir{path: "/", names: map[string]*node{}}, told: map[string]struct{}{},
		dirs: map[string]*dir{}, guards: guards{},
	}
	t.scope, _ = newScope(nil)
	t.dirs[t.top.path] = t.top
	t.ended.Go(t.listen)
	t.ended.Go(t.run)
	t.ended.Go(t.read)
	return t
}

// Watch says what is watched from now on. When it returns, all of it is known and nothing that happens later is missed. What is
// known of what was watched before stays; what is new or gone by this is no change.
//
// It ends soon when ctx is done, with the cause of that, or when the tree is closed. If it had begun by then only a part is known,
// and what is left to do with the tree is to close it.
func (t *Tree) Watch(ctx context.Context, roots []Root) error {
	s, err := newScope(roots)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ending():
		return errClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case t.partial:
		return errors.New("cannot watch: only a part is known since the call before was cut short")
	}
	if t.rescope(s, ctx.Done()) {
		return nil
	}
	t.partial = true
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errClosed
}

var errClosed = errors.New("cannot watch: the tree is closed")

// ending says that the tree is closed, or about to be.
func (t *Tree) ending() bool {
	select {
	case <-t.closing:
		return true
	default:
		return false
	}
}

// Batches tells what has changed. What nobody takes is merged with what comes later; what is undone then is told only if Each may
// have shown it. It is closed by Close.
func (t *Tree) Batches() <-chan Batch { return t.batches }

// Each calls visit with what is at the path and below it, a directory before what is in it and names in their order, until visit
// returns false. Meanwhile nothing changes in the Tree, which visit must not call.
func (t *Tree) Each(path string, visit func(path string, e Entry) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = true
	path = filepath.Clean(path)
	if path == t.top.path {
		t.top.each(visit)
		return
	}
	above, name := split(path)
	if d := t.dirs[above]; d != nil && d.names[name] != nil {
		d.visit(name, visit)
	}
}

// visit says whether to go on.
func (d *dir) visit(name string, visit func(string, Entry) bool) bool {
	n := d.names[name]
	if e := n.entry(); e.Kind != None && !visit(d.join(name), e) {
		return false
	}
	return n.dir == nil || n.dir.each(visit)
}

func (d *dir) each(visit func(string, Entry) bool) bool {
	for _, name := range d.sorted() {
		if !d.visit(name, visit) {
			return false
		}
	}
	return true
}

// Close ends everything, the source too.
func (t *Tree) Close() error {
	var err error
	t.once.Do(func() {
		close(t.closing)
		err = t.source.Close()
		t.ended.Wait()
		t.mu.Lock() // a Watch that is under way is cut short, and over then
		defer t.mu.Unlock()
	})
	return err
}

// listen takes events as they come, so that the source never waits, and drops those that nobody wants to know of, so that they
// do not make a batch wait.
func (t *Tree) listen() {
	for e := range t.source.Events() {
		if e.Lost || t.counts(e) {
			t.pending.add(e)
		}
	}
}

func (t *Tree) counts(e watch.Event) bool {
	t.index.RLock()
	defer t.index.RUnlock()
	if t.guards.about(e) {
		return true
	}
	d := t.dirs[e.Dir]
	return d != nil && (e.Name == "" || t.scope.counts(d, e.Name))
}

// run makes batches.
func (t *Tree) run() {
	defer close(t.batches)
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var out Batch
	shown := false // since the first look that out is from
	for {
		var batches chan<- Batch // nil, on which nothing can be sent, when there is no batch
		if len(out.Changes) > 0 {
			batches = t.batches
		}
		select {
		case <-t.closing:
			return
		case batches <- out:
			out = Batch{}
		case <-t.pending.poke:
			if due := t.pending.when(); !due.IsZero() {
				timer.Reset(time.Until(due))
			}
		case <-timer.C:
			select {
			case batches <- out:
				out = Batch{}
			default: // nobody takes it now
			}
			b, seen := t.look()
			shown = len(out.Changes) > 0 && (shown || seen)
			out = out.and(b, shown)
		}
	}
}

// and is both as one. What was shown between them and is as it was before is a change, too: somebody may have acted on it.
func (b Batch) and(c Batch, shown bool) Batch {
	switch {
	case len(b.Changes) == 0:
		return c
	case len(c.Changes) == 0:
		return b
	}
	return Batch{Changes: mergeAs(append(b.Changes, c.Changes...), shown), Since: b.Since}
}

// look compares what has happened with the disk. shown: somebody has called Each since the look before.
func (t *Tree) look() (b Batch, shown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.pending.take()
	p := newPass(t)
	if w.lost {
		p.everything()
	} else {
		p.at(w.places)
	}
	changes := p.finish()
	t.emptyFiles = p.emptyFiles
	t.pending.later(p.early, w.since)
	shown, t.shown = t.shown, false
	return Batch{Changes: changes, Since: w.since}, shown
}

// tell tells an error unless it was told before.
func (t *Tree) tell(err error) {
	key := err.Error()
	if limit := (*watch.Limit)(nil); errors.As(err, &limit) {
		err = limit
		key = limit.Error()
	}
	if _, known := t.told[key]; known || t.options.Told == nil {
		return
	}
	t.told[key] = struct{}{}
	t.options.Told(err)
}

// cannot says what failed about a path.
func cannot(what, path string, err error) error {
	if strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("cannot %s %s: %w", what, path, err)
}
