package memory

import (
	"context"
	"path"
	"slices"
	"time"
)

// Fault makes operations fail or take time.
type Fault struct {
	Op    string        // the contract's method, for example "ContainerStart"; "" is any
	Match string        // a pattern as in path.Match for the object's name or the reference that was given; "" is any
	Delay time.Duration // how long the operation takes before anything else; a cancelled context ends it
	Err   error         // what it returns instead of being carried out; nil carries it out
	Times int           // after so many operations the fault is over; 0 is never
}

// Inject adds a fault. Of several that apply to an operation, the first one added counts. The function that is returned
// takes the fault away.
func (e *Engine) Inject(f Fault) (remove func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	added := &f
	e.faults = append(e.faults, added)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.faults = slices.DeleteFunc(e.faults, func(other *Fault) bool { return other == added })
	}
}

// Fail makes an operation fail until the returned function is called.
func (e *Engine) Fail(op, match string, err error) (remove func()) {
	return e.Inject(Fault{Op: op, Match: match, Err: err})
}

// enter begins an operation: it carries out the faults that apply and looks at the context.
func (e *Engine) enter(ctx context.Context, op, ref string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, ok := e.fault(op, ref)
	if !ok {
		return nil
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.Err
}

func (e *Engine) fault(op, ref string) (Fault, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, f := range e.faults {
		if f.Op != "" && f.Op != op || !e.matches(f.Match, ref) {
			continue
		}
		found := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				e.faults = slices.Delete(e.faults, i, i+1)
			}
		}
		return found, true
	}
	return Fault{}, false
}

// matches compares with the reference and with the name of the object that it refers to.
func (e *Engine) matches(pattern, ref string) bool {
	if pattern == "" {
		return true
	}
	names := []string{ref}
	if c := e.containers[ref]; c != nil {
		names = append(names, c.name)
	}
	if n := e.networks[ref]; n != nil {
		names = append(names, n.name)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}
