// Package events tells whoever listens what happens to the engine's objects, in Docker's words.
//
// A Bus is a linked list that grows at its end. Publishing never waits for a listener: each listener walks the list at
// its own pace, and what all have passed is garbage. The latest events are kept for those who ask what was before.
package events

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
)

// remembered is how many events can be replayed. The contract asks for 256.
const remembered = 512

// Bus delivers events. The zero value is not usable; see New.
type Bus struct {
	mu     sync.Mutex
	oldest *node // of those that are replayed
	count  int
	end    *node // not filled yet; closed is open
	over   chan struct{}
	once   sync.Once
}

// node is one event and the way to the next. message and next are written before filled is closed.
type node struct {
	filled  chan struct{}
	message events.Message
	next    *node
}

func newNode() *node { return &node{filled: make(chan struct{})} }

// New returns a bus without history.
func New() *Bus {
	end := newNode()
	return &Bus{oldest: end, end: end, over: make(chan struct{})}
}

// Publish delivers an event and stamps it with the time if it has none.
func (b *Bus) Publish(m events.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.TimeNano == 0 {
		now := time.Now()
		m.Time, m.TimeNano = now.Unix(), now.UnixNano()
	}
	m.Scope = "local"
	if m.Type == events.ContainerEventType {
		m.Status, m.ID, m.From = string(m.Action), m.Actor.ID, m.Actor.Attributes["image"]
	}
	filled := b.end
	filled.message, filled.next = m, newNode()
	b.end = filled.next
	close(filled.filled)
	if b.count++; b.count > remembered {
		b.oldest = b.oldest.next
		b.count--
	}
}

// Close ends every subscription with io.EOF.
func (b *Bus) Close() { b.once.Do(func() { close(b.over) }) }

// Subscribe delivers what happens from now on, and before that what is remembered since opts.Since. The second channel
// yields exactly one value: the context's error, io.EOF when opts.Until has passed or the bus was closed, or what is
// wrong with opts.
func (b *Bus) Subscribe(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message), make(chan error, 1)
	selection, err := parse(opts, time.Now())
	if err != nil {
		errs <- err
		return messages, errs
	}
	at := b.position(selection.replay)
	go func() { errs <- b.deliver(ctx, at, selection, messages) }()
	return messages, errs
}

func (b *Bus) position(replay bool) *node {
	b.mu.Lock()
	defer b.mu.Unlock()
	if replay {
		return b.oldest
	}
	return b.end
}

func (b *Bus) deliver(ctx context.Context, at *node, wanted selection, out chan<- events.Message) error {
	var until <-chan time.Time
	if !wanted.until.IsZero() {
		timer := time.NewTimer(time.Until(wanted.until))
		defer timer.Stop()
		until = timer.C
	}
	for {
		select {
		case <-at.filled:
		default:
			// Nothing is left to replay; wait for more, unless the time is over.
			select {
			case <-at.filled:
			case <-until:
				return io.EOF
			case <-b.over:
				return io.EOF
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if wanted.past(at.message) {
			return io.EOF
		}
		if wanted.includes(at.message) {
			select {
			case out <- at.message:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		at = at.next
	}
}
