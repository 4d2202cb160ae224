package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
)

// turns let the reactions of one run share the project's lock: it keeps other runs away, and one reaction that waits for a container
// to become healthy keeps no other one waiting that is about other services. As long as one is under way, others join it.
type turns struct {
	lock func(say func(string)) convergence.Locker
	wish func() *desired.Project
	told func(service, what string) // what a reaction waits for that has waited for a while. May be nil

	mu     sync.Mutex
	taking string    // who takes the lock: its service; empty: nobody
	taken  string    // what the lock waits for; empty: nothing that is known
	unlock func()    // nil: the lock is not held
	since  time.Time // when it was taken
	under  []*turn
	ended  chan struct{} // closed when a turn ends, or the lock was taken or not
}

// turn is one reaction that is under way.
type turn struct {
	service, doing string   // for example "db", "rebuilt"
	services       []string // that it is about
	desired        *desired.Project
}

// joining is for how long others join who has the lock. After that they wait for it: else reactions that follow each other closely
// would keep it from other runs for ever, from one that takes the project down for example.
const joining = 30 * time.Second

// patienceOf is how long a reaction waits without a word.
const patienceOf = time.Second

// take waits until the services that the reaction to a change of the service is about are left alone by others, and returns how
// long that was and what the project is to be. Who has got the turn ends it.
func (t *turns) take(ctx context.Context, service, doing string) (mine *turn, waited time.Duration, err error) {
	began := time.Now()
	late := time.AfterFunc(patienceOf, func() {
		if t.told != nil {
			t.told(service, t.because(service))
		}
	})
	defer late.Stop()
	for {
		mine, ended, err := t.try(ctx, service, doing)
		if mine != nil || err != nil {
			return mine, time.Since(began), err
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, time.Since(began), context.Cause(ctx)
		}
	}
}

// try returns a turn, or what is closed when it is worth another try. Who finds nobody under way takes the lock.
func (t *turns) try(ctx context.Context, service, doing string) (*turn, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended = make(chan struct{})
	}
	if t.unlock == nil && t.taking != "" {
		return nil, t.ended, nil
	}
	if t.unlock == nil {
		if err := t.acquire(ctx, service); err != nil {
			return nil, nil, err
		}
	}
	if len(t.under) > 0 && time.Since(t.since) >= joining {
		return nil, t.ended, nil
	}
	d := t.wish() // it may be another one by now
	mine := &turn{service: service, doing: doing, services: dragging(d, service), desired: d}
	if t.before(mine) != nil {
		return nil, t.ended, nil
	}
	t.under = append(t.under, mine)
	return mine, nil, nil
}

// acquire takes the project's lock. t.mu is held, but not while it waits.
func (t *turns) acquire(ctx context.Context, service string) error {
	t.taking = service
	name := t.wish().Name
	t.mu.Unlock()
	unlock, err := t.lock(t.waits)(ctx, name)
	t.mu.Lock()
	t.taking, t.taken, t.unlock, t.since = "", "", unlock, time.Now()
	t.wake()
	return err
}

// waits notes what the lock waits for.
func (t *turns) waits(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = strings.TrimSuffix(text, "; waiting for it")
	if strings.Contains(text, fmt.Sprintf("(process %d,", os.Getpid())) { // this run keeps the project, too
		t.taken = "what the project's files say is being carried out"
	}
}

// before is a turn that the other one has to wait for: it is about one of its services, or about what the project was to be before.
func (t *turns) before(mine *turn) *turn {
	for _, other := range t.under {
		if other.desired != mine.desired || slices.ContainsFunc(mine.services, func(name string) bool { return slices.Contains(other.services, name) }) {
			return other
		}
	}
	return nil
}

// because says what a reaction waits for.
func (t *turns) because(service string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.wish()
	other := t.before(&turn{services: dragging(d, service), desired: d})
	switch {
	case t.unlock == nil && t.taken != "":
		return t.taken
	case other != nil:
		return other.service + " is being " + other.doing
	case len(t.under) > 0:
		return t.under[0].service + " is being " + t.under[0].doing + " for long, and others may wait for the project"
	}
	return "the project is not free yet"
}

// end gives the turn back, and with the last one the lock.
func (t *turns) end(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under = slices.DeleteFunc(t.under, func(other *turn) bool { return other == mine })
	if len(t.under) == 0 && t.unlock != nil {
		t.unlock()
		t.unlock = nil
	}
	t.wake()
}

func (t *turns) wake() {
	close(t.ended)
	t.ended = make(chan struct{})
}
