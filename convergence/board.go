package convergence

import (
	"maps"
	"slices"
	"sync"
	"time"

	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// board is where a keeper and its rounds write how they fare, and which tells who wants to know.
type board struct {
	tell func(Status)

	mu       sync.Mutex
	status   Status
	told     bool
	mistakes error             // of the files
	failure  error             // of the last round
	waits    map[string]string // of operations that only wait, by ID
	patience []string          // of the keeper itself
}

func newBoard(tell func(Status)) *board {
	return &board{tell: tell, waits: make(map[string]string)}
}

// change makes a change and tells of it if it is one.
func (b *board) change(make func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.status
	make()
	now := Status{Converged: b.status.Converged, Since: before.Since}
	if b.failure != nil {
		now.Err = b.failure.Error()
	}
	if b.mistakes != nil {
		now.Broken = b.mistakes.Error()
	}
	now.Waits = slices.Concat(slices.Sorted(maps.Values(b.waits)), slices.Sorted(slices.Values(b.patience)))
	same := now.Converged == before.Converged && now.Err == before.Err && now.Broken == before.Broken
	if b.told && same && slices.Equal(now.Waits, before.Waits) {
		return
	}
	if !same || !b.told {
		now.Since = time.Now()
	}
	b.status, b.told = now, true
	if b.tell != nil {
		b.tell(now)
	}
}

// answer tells those who have asked, and returns those who are left: none.
func (b *board) answer(asked []chan<- Status) []chan<- Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, asker := range asked {
		asker <- b.status
	}
	return nil
}

func (b *board) broken(err error) { b.change(func() { b.mistakes = err }) }

func (b *board) failed(err error) {
	b.change(func() { b.failure, b.status.Converged = err, false })
}

func (b *board) working() { b.change(func() { b.status.Converged = false }) }

func (b *board) converged() {
	b.change(func() { b.failure, b.status.Converged = nil, true })
}

func (b *board) wait(patience []string) { b.change(func() { b.patience = patience }) }

// watch is the sink, which also notes what is waited for.
func (b *board) watch(sink execute.Sink) execute.Sink {
	return func(e execute.Event) {
		if text := awaited(e.Operation); text != "" {
			id := e.Operation.Head().ID
			b.change(func() {
				if e.Phase == execute.Started {
					b.waits[id] = text
				} else if e.Phase != execute.Progress && e.Phase != execute.Noted {
					delete(b.waits, id)
				}
			})
		}
		if sink != nil {
			sink(e)
		}
	}
}

// awaited is what an operation waits for, or "".
func awaited(op plan.Operation) string {
	name := op.Head().Subject.Name
	switch op.(type) {
	case *plan.WaitHealthy:
		return name + " is to become healthy"
	case *plan.WaitCompleted:
		return name + " is to complete its work"
	case *plan.MonitorContainer:
		return name + " is watched"
	}
	return ""
}
