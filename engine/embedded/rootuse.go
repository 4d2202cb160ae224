package embedded

import (
	"context"
	"sync"
	"time"

	"stackrun.dev/stack/engine"
)

// rootUses counts who has the root of a running container open. A second mount of the same directories would not see what
// comes through the first one, so it waits until nobody has.
type rootUses struct {
	mu   sync.Mutex
	byID map[string]*rootUse
}

type rootUse struct {
	count  int
	none   chan struct{} // closed when the count is 0 again
	wanted chan struct{} // closed when somebody waits for that
	asked  bool          // it is closed
}

// use notes a use, until release is called. wanted is closed when somebody waits for that. The caller holds the container's lock.
func (u *rootUses) use(id string) (wanted <-chan struct{}, release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	own := u.byID[id]
	if own == nil {
		if u.byID == nil {
			u.byID = map[string]*rootUse{}
		}
		own = &rootUse{none: make(chan struct{}), wanted: make(chan struct{})}
		u.byID[id] = own
	}
	own.count++
	return own.wanted, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if own.count--; own.count == 0 {
			delete(u.byID, id)
			close(own.none)
		}
	}
}

// releaseTime is how long a root is waited for. Whoever has one lets go as soon as the container has ended, unless a file
// system that is mounted there does not answer.
const releaseTime = 10 * time.Second

// released waits until nobody has the root open. The caller holds the container's lock, so that nobody opens it meanwhile.
// ErrUnavailable: it takes too long.
func (u *rootUses) released(ctx context.Context, id string) error {
	u.mu.Lock()
	own := u.byID[id]
	if own != nil && !own.asked {
		own.asked = true
		close(own.wanted)
	}
	u.mu.Unlock()
	if own == nil {
		return nil
	}
	late := time.NewTimer(releaseTime)
	defer late.Stop()
	select {
	case <-own.none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return engine.Errorf(engine.ErrUnavailable,
			"files are still being copied to its last run, and that does not end: does a file system that it mounts not answer?")
	}
}
