package embedded

import (
	"sync"

	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// busyCounter counts the containers that need an engine and tells how many there are.
type busyCounter struct {
	mu   sync.Mutex
	ids  map[string]bool
	tell func(running int)
}

// note is told the state of a container after each change; removed ones count as ended.
func (b *busyCounter) note(id string, s lifecycle.State) {
	needs := s.Active() || s.Phase == lifecycle.Restarting
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = map[string]bool{}
	}
	if needs == b.ids[id] {
		return
	}
	if needs {
		b.ids[id] = true
	} else {
		delete(b.ids, id)
	}
	b.announce()
}

// announce tells the number as it is.
func (b *busyCounter) announce() {
	if b.tell != nil {
		b.tell(len(b.ids))
	}
}
