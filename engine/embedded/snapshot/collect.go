package snapshot

import (
	"context"
	"sync"
)

// Collect asks for a collection of everything that nothing holds any more. It runs in the background, soon and once for
// all the requests that come meanwhile.
func (s *Store) Collect() { s.collector.request() }

// CollectNow collects and returns when it is done. Its purpose is to tell a user how much was freed.
func (s *Store) CollectNow(ctx context.Context) error { return s.collect(ctx) }

func (s *Store) collect(ctx context.Context) error {
	s.collecting.Lock()
	defer s.collecting.Unlock()
	ctx = s.Context(ctx)
	if err := s.dropIdleLowers(ctx); err != nil {
		return err
	}
	_, err := s.db.GarbageCollect(ctx)
	return err
}

// collector runs one collection at a time and exists as a goroutine only while there is something to do.
type collector struct {
	run func(context.Context) error

	mu      sync.Mutex
	idle    *sync.Cond
	running bool
	again   bool
	closed  bool
	stop    context.CancelFunc
	ctx     context.Context
}

func (c *collector) init(run func(context.Context) error) {
	c.run = run
	c.idle = sync.NewCond(&c.mu)
	c.ctx, c.stop = context.WithCancel(context.Background())
}

func (c *collector) request() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.running {
		c.again = true
		return
	}
	c.running = true
	go c.loop()
}

func (c *collector) loop() {
	for {
		// A failed collection leaves garbage for the next one; nobody is there to be told.
		_ = c.run(c.ctx)
		c.mu.Lock()
		if !c.again || c.closed {
			c.running = false
			c.idle.Broadcast()
			c.mu.Unlock()
			return
		}
		c.again = false
		c.mu.Unlock()
	}
}

// wait returns when no collection runs.
func (c *collector) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.running {
		c.idle.Wait()
	}
}

func (c *collector) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.wait()
}
