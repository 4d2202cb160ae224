package watch

import (
	"errors"
	"fmt"
	"sync"
)

// Fallback is a source made of two: the kernel's, and one that looks again and again at what the kernel does not tell.
type Fallback struct {
	kernel, polling Source // kernel is nil if there is none
	told            func(error)
	events          chan Event
	closing         chan struct{}
	once            sync.Once
	closed          error
	forwarding      sync.WaitGroup

	mu     sync.Mutex
	beyond map[string]bool // directories beyond the kernel's limit
	causes map[string]bool // that were told
}

// NewFallback makes a source that owns both. kernel may be nil, then all is polled. told, which may be nil as well, hears once
// of each limit that is reached and of each kind of file system that the kernel does not tell of: an error with a *Limit or a
// *Blind in it that says what it means for the user.
func NewFallback(kernel, polling Source, told func(error)) *Fallback {
	f := &Fallback{
		kernel: kernel, polling: polling, told: told, events: make(chan Event), closing: make(chan struct{}),
		beyond: map[string]bool{}, causes: map[string]bool{},
	}
	if kernel != nil {
		f.forwarding.Go(func() { f.forward(kernel.Events()) })
	}
	f.forwarding.Go(func() { f.forward(polling.Events()) })
	return f
}

func (f *Fallback) forward(from <-chan Event) {
	for e := range from {
		select {
		case f.events <- e:
		case <-f.closing:
			return
		}
	}
}

// Add implements Source. Where a directory is polled it is no error. What was polled because of the limit stays so until it is
// removed: to change over would need another look at all of it.
func (f *Fallback) Add(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kernel == nil || f.beyond[dir] {
		return f.polling.Add(dir)
	}
	err := f.kernel.Add(dir)
	var limit *Limit
	var blind *Blind
	switch {
	case errors.As(err, &limit):
		f.beyond[dir] = true
		f.tell(limit.Name, limit)
	case errors.As(err, &blind):
		f.tell(blind.FileSystem, blind)
	default:
		return err
	}
	return f.polling.Add(dir)
}

// tell tells a cause once.
func (f *Fallback) tell(cause string, err error) {
	if f.causes[cause] || f.told == nil {
		return
	}
	f.causes[cause] = true
	f.told(fmt.Errorf("some directories are polled: %w", err))
}

// Remove implements Source.
func (f *Fallback) Remove(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kernel != nil {
		f.kernel.Remove(dir)
	}
	f.polling.Remove(dir)
	delete(f.beyond, dir)
}

// Events implements Source.
func (f *Fallback) Events() <-chan Event { return f.events }

// Close implements Source.
func (f *Fallback) Close() error {
	f.once.Do(func() {
		close(f.closing)
		if f.kernel != nil {
			f.closed = f.kernel.Close()
		}
		f.closed = errors.Join(f.closed, f.polling.Close())
		f.forwarding.Wait()
		close(f.events)
	})
	return f.closed
}
