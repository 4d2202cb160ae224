package container

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// Store keeps records. A Put is durable when it returns; concurrent ones share the cost.
type Store interface {
	Put(key string, value []byte) error
	Delete(key string) error
	All() (map[string][]byte, error)
}

// Container is a record in use. Its methods may be called from several goroutines.
type Container struct {
	ID string

	turn   chan struct{} // holds one token; see Lock
	wanted wanted
	store  Store

	mu       sync.Mutex // guards what follows
	record   Record
	version  uint64 // counts changes
	exits    uint64 // counts ends of its process
	lastExit int
	removed  bool
	changed  chan struct{} // closed and replaced with every change

	saving    sync.Mutex // held while writing; guards what follows
	saved     uint64     // the version that is stored
	forgotten bool       // the stored record was deleted for good
}

// New returns a container with the record. Nothing is stored yet.
func New(record Record, store Store) *Container {
	c := &Container{ID: record.ID, store: store, record: record, version: 1, turn: make(chan struct{}, 1), changed: make(chan struct{})}
	c.turn <- struct{}{}
	return c
}

// Lock waits for the right to operate on the container: to start it, to clean up after it, to remove it. Waiting for a
// container's end is done without it.
func (c *Container) Lock(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	default:
	}
	c.wanted.begin()
	defer c.wanted.end()
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives the right back.
func (c *Container) Unlock() { c.turn <- struct{}{} }

// Record returns the container's record as it is now.
func (c *Container) Record() Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

// State returns the state alone.
func (c *Container) State() lifecycle.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record.State
}

// Change changes the record in memory and wakes those who wait. It does not store it; see Save.
func (c *Container) Change(change func(*Record)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.record)
	c.touch()
}

// Apply sends the event through the state machine and returns the state before and after and what is to be done.
func (c *Container) Apply(e lifecycle.Event) (before, after lifecycle.State, actions []lifecycle.Action) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.record.State
	c.record.State, actions = lifecycle.Next(before, c.record.Rules(), e)
	if before.Active() && !c.record.State.Active() {
		c.exits++
		c.lastExit = c.record.State.ExitCode
	}
	c.touch()
	return before, c.record.State, actions
}

// MarkRemoved wakes those who wait for the removal, which is complete.
func (c *Container) MarkRemoved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = true
	c.touch()
}

func (c *Container) touch() {
	c.version++
	close(c.changed)
	c.changed = make(chan struct{})
}

// Moment is what a wait compares.
type Moment struct {
	State    lifecycle.State
	Exits    uint64 // how often its process ended since the engine was opened
	LastExit int    // the exit code of the latest of them
	Removed  bool
}

// Watch returns how things are and a channel that is closed when that has changed.
func (c *Container) Watch() (Moment, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Moment{State: c.record.State, Exits: c.exits, LastExit: c.lastExit, Removed: c.removed}, c.changed
}

// Await waits until done holds and returns the moment in which it did.
func (c *Container) Await(ctx context.Context, done func(Moment) bool) (Moment, error) {
	for {
		now, changed := c.Watch()
		if done(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

// Save stores the record durably, unless somebody else has stored this version already.
func (c *Container) Save() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	if c.forgotten || c.saved == c.version {
		c.mu.Unlock()
		return nil
	}
	record, version := c.record, c.version
	c.mu.Unlock()
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("cannot store container %s: %w", record.Name, err)
	}
	if err := c.store.Put(c.ID, data); err != nil {
		return fmt.Errorf("cannot store container %s: %w", record.Name, err)
	}
	c.saved = version
	return nil
}

// Forget deletes the stored record. Nothing is stored any more after that.
func (c *Container) Forget() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	if err := c.store.Delete(c.ID); err != nil {
		return err
	}
	c.forgotten = true
	return nil
}
