package session

import "sync"

// queue passes events on in their order. Whoever puts one there never waits, so that a service that has much to look at delays no
// other, and batches are taken when they are made.
type queue struct {
	some chan struct{} // has an element if there are events

	mu     sync.Mutex
	events []event
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1)} }

func (q *queue) put(e event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, e)
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take returns what is there.
func (q *queue) take() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.events
	q.events = nil
	return out
}
