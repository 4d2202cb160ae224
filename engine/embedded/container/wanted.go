package container

import "sync"

// wanted counts who waits for the lock.
type wanted struct {
	mu      sync.Mutex
	waiting int
	some    chan struct{} // closed while somebody waits; nil before anybody asked
}

// Wanted returns a channel that is closed as soon as somebody waits for the lock. Who holds it while a client is slow asks that.
func (c *Container) Wanted() <-chan struct{} {
	w := &c.wanted
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.channel()
}

func (w *wanted) channel() chan struct{} {
	if w.some == nil {
		w.some = make(chan struct{})
	}
	return w.some
}

// begin notes somebody who waits.
func (w *wanted) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting++; w.waiting == 1 {
		close(w.channel())
	}
}

// end notes that somebody waits no longer.
func (w *wanted) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting--; w.waiting == 0 {
		w.some = nil
	}
}
