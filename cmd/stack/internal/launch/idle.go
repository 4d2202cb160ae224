package launch

import (
	"sync"
	"time"
)

// idler decides when an engine leaves: when for the whole grace time nothing ran or was kept and nobody was connected. It is told
// what happens and sets a timer; it never looks by itself.
type idler struct {
	grace time.Duration // 0: never leave
	first time.Duration // instead of grace until somebody has connected
	leave func()        // called once, on a goroutine of its own

	mu          sync.Mutex
	running     int
	kept        int
	connections int
	held        bool
	leaving     bool
	timer       *time.Timer // nil when not idle
	armed       int         // how often the timer was set: tells a timer that fired late from the current one
}

// newIdler gives whoever started the engine the time first to connect, if that is longer than the grace time.
func newIdler(grace, first time.Duration, leave func()) *idler {
	i := &idler{grace: grace, first: max(grace, first), leave: leave}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.consider()
	return i
}

// setRunning says how many containers run or are about to be restarted.
func (i *idler) setRunning(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running = n
	i.consider()
}

// setKept says how many projects are kept converged.
func (i *idler) setKept(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept = n
	i.consider()
}

// connected counts a connection and reports whether the engine still takes it.
func (i *idler) connected() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.leaving {
		return false
	}
	i.connections++
	i.first = i.grace
	i.consider()
	return true
}

func (i *idler) disconnected() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.connections--
	i.consider()
}

// hold keeps the engine until it is told to stop.
func (i *idler) hold() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held = true
	i.consider()
}

// counts returns how many containers run, connections there are and projects are kept, and whether the engine may leave by itself.
func (i *idler) counts() (running, connections, kept int, mayLeave bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.running, i.connections, i.kept, i.grace > 0 && !i.held && i.kept == 0
}

// consider arms the timer when the engine is idle and disarms it when it is not. i.mu is held.
func (i *idler) consider() {
	idle := i.grace > 0 && !i.held && !i.leaving && i.running == 0 && i.kept == 0 && i.connections == 0
	switch {
	case !idle && i.timer != nil:
		i.timer.Stop()
		i.timer = nil
	case idle && i.timer == nil:
		i.armed++
		armed := i.armed
		i.timer = time.AfterFunc(i.first, func() { i.expired(armed) })
	}
}

// expired leaves, unless something happened while the timer fired.
func (i *idler) expired(armed int) {
	i.mu.Lock()
	if i.timer == nil || i.armed != armed || i.leaving {
		i.mu.Unlock()
		return
	}
	i.leaving = true
	i.mu.Unlock()
	i.leave()
}

// stop disarms the timer for good.
func (i *idler) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leaving = true
	i.consider()
}
