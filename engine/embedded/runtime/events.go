package runtime

import "sync"

// queue hands events to their receiver one at a time, without making whoever has them wait.
type queue struct {
	mu     sync.Mutex
	some   *sync.Cond
	events []Event
	closed bool
}

func newQueue(receive func(Event)) *queue {
	q := &queue{}
	q.some = sync.NewCond(&q.mu)
	if receive == nil {
		q.closed = true
		return q
	}
	go q.run(receive)
	return q
}

func (q *queue) put(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.events = append(q.events, e)
		q.some.Signal()
	}
}

// close drops what was not handed over.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Signal()
}

func (q *queue) run(receive func(Event)) {
	for {
		q.mu.Lock()
		for len(q.events) == 0 && !q.closed {
			q.some.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		e := q.events[0]
		q.events = q.events[1:]
		q.mu.Unlock()
		receive(e)
	}
}
