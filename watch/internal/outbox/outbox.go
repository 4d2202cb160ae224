// Package outbox keeps the events of a source until they are read, so that the source never waits.
package outbox

import (
	"slices"
	"sync"

	"stackrun.dev/stack/watch"
)

// most is how many events wait before they count as lost: about 10 MB.
const most = 1 << 16

// Outbox passes on events in their order. One that waits already is not put in again: whoever is told looks later.
type Outbox struct {
	events  chan watch.Event
	wake    chan struct{}
	closing chan struct{}
	ended   chan struct{}
	once    sync.Once

	mu      sync.Mutex
	waiting []watch.Event
	taken   int                      // so many of them were passed on
	known   map[watch.Event]struct{} // the others
}

var lost = watch.Event{Lost: true}

// New makes an empty one.
func New() *Outbox {
	o := &Outbox{
		events: make(chan watch.Event), wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
		known: map[watch.Event]struct{}{},
	}
	go o.run()
	return o
}

// Events is closed by Close.
func (o *Outbox) Events() <-chan watch.Event { return o.events }

// Put adds an event. One that says that events were lost takes the place of all that wait, and of what comes until it is read.
func (o *Outbox) Put(e watch.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits(e) || o.waits(lost) {
		return
	}
	if len(o.waiting)-o.taken >= most {
		e = lost
	}
	if e == lost {
		o.forget()
	}
	o.waiting = append(o.waiting, e)
	o.known[e] = struct{}{}
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// Close drops what waits.
func (o *Outbox) Close() {
	o.once.Do(func() { close(o.closing) })
	<-o.ended
}

func (o *Outbox) run() {
	defer close(o.ended)
	defer close(o.events)
	for {
		e, any := o.next()
		if !any {
			select {
			case <-o.wake:
				continue
			case <-o.closing:
				return
			}
		}
		select {
		case o.events <- e:
		case <-o.closing:
			return
		}
	}
}

func (o *Outbox) next() (watch.Event, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken == len(o.waiting) {
		o.forget()
		return watch.Event{}, false
	}
	e := o.waiting[o.taken]
	o.taken++
	delete(o.known, e)
	if o.taken == most { // a reader who never catches up
		o.waiting, o.taken = slices.Clone(o.waiting[o.taken:]), 0
	}
	return e, true
}

// forget makes it empty. A burst does not keep its memory.
func (o *Outbox) forget() {
	if len(o.waiting) > 1<<10 {
		o.waiting, o.known = nil, map[watch.Event]struct{}{}
	}
	clear(o.waiting)
	o.waiting, o.taken = o.waiting[:0], 0
	clear(o.known)
}

func (o *Outbox) waits(e watch.Event) bool {
	_, waits := o.known[e]
	return waits
}
