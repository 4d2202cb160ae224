package network

import (
	"errors"
	"sync"
	"time"
)

// grace is how long the sweeper waits for the kernel to take down the links of namespaces whose last process has
// exited. It nearly always does so within that time, many at once, and then nothing is left to sweep.
const grace = 250 * time.Millisecond

// sweeper removes what nobody owns any more, apart from those who gave it up: deleting a link takes the kernel
// many milliseconds.
type sweeper struct {
	sweep func() error

	running sync.Mutex // held while sweep runs

	mu     sync.Mutex // guards what follows
	timer  *time.Timer
	closed bool
}

// later sweeps after the grace.
func (s *sweeper) later() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil || s.closed {
		return
	}
	s.timer = time.AfterFunc(grace, func() {
		s.mu.Lock()
		s.timer = nil
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			_ = s.now() // what could not be removed is tried again with the next
		}
	})
}

// now sweeps.
func (s *sweeper) now() error {
	s.running.Lock()
	defer s.running.Unlock()
	return s.sweep()
}

// exclude runs f while nothing is being swept.
func (s *sweeper) exclude(f func() error) error {
	s.running.Lock()
	defer s.running.Unlock()
	return f()
}

// close sweeps for the last time.
func (s *sweeper) close() error {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	return s.now()
}

// sweep deletes the links that no record stands for, the firewall table if it is empty, and settles records that
// could not be written before. The links are listed first: one that is made meanwhile has its record already.
func (m *Manager) sweep() error {
	return errors.Join(m.sweepLinks(), m.firewall.trim(), m.admitDeparted(), m.settleRecords())
}

func (m *Manager) sweepLinks() error {
	names, err := m.links.Links()
	if err != nil {
		return err
	}
	own := m.ownedLinks()
	var stale []string
	for _, name := range names {
		if !own[name] {
			stale = append(stale, name)
		}
	}
	return m.links.DeleteLinks(stale...)
}
