package runtime

import (
	"sync"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// early keeps the events of a new connection until the containers that they are about are known: a shim tells of an exit
// from the moment it is greeted, which is before its account of its containers has been read.
type early struct {
	handle func(protocol.Message)

	mu   sync.Mutex
	kept []protocol.Message
	open bool
}

func (e *early) receive(m protocol.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open {
		e.kept = append(e.kept, m)
		return
	}
	e.handle(m)
}

// release hands over what was kept, and from then on everything at once.
func (e *early) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.kept {
		e.handle(m)
	}
	e.kept, e.open = nil, true
}
