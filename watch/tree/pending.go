package tree

import (
	"sync"
	"time"

	"stackrun.dev/stack/watch"
)

// places are names of entries by directory. An empty name is the directory itself.
type places map[string]map[string]struct{}

// add says whether it is the first about the path.
func (p places) add(dir, name string) step {
	names := p[dir]
	if names == nil {
		names = map[string]struct{}{}
		p[dir] = names
	}
	if _, known := names[name]; known {
		return again
	}
	names[name] = struct{}{}
	return fresh
}

func (p places) has(dir, name string) bool {
	_, has := p[dir][name]
	return has
}

// work is where something has happened that was not looked at yet.
type work struct {
	places places
	lost   bool      // it may be anywhere
	since  time.Time // when the first of it happened
}

// pending collects work until it is quiet.
type pending struct {
	poke chan struct{} // the time to look is another one

	mu    sync.Mutex
	work  work
	burst burst
	due   time.Time // zero: there is none
}

func newPending() *pending {
	return &pending{poke: make(chan struct{}, 1), work: work{places: places{}}}
}

// add notes an event.
func (p *pending) add(e watch.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := lost
	if e.Lost {
		p.work.lost = true
	} else {
		s = p.work.places.add(e.Dir, e.Name)
	}
	p.happened(s, time.Now(), time.Now())
}

// later notes what was looked at too early, of changes that began at the time.
func (p *pending) later(early places, since time.Time) {
	if len(early) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	alone := len(p.work.places) == 0 && !p.work.lost
	for dir, names := range early {
		for name := range names {
			p.work.places.add(dir, name)
		}
	}
	if alone {
		p.happened(later, time.Now(), since)
	} else if since.Before(p.work.since) {
		p.work.since = since
	}
}

func (p *pending) happened(s step, now, since time.Time) {
	if p.work.since.IsZero() {
		p.work.since = since
	}
	p.burst, p.due = next(p.burst, s, now)
	select {
	case p.poke <- struct{}{}:
	default: // whoever is told looks later
	}
}

// when says when to look; zero: there is nothing to look at.
func (p *pending) when() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.due
}

// take empties it.
func (p *pending) take() work {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.work
	p.work, p.burst, p.due = work{places: places{}}, burst{}, time.Time{}
	return w
}
