package dag

import (
	"context"
	"errors"
	"fmt"
)

// ErrSkipped is the kind of the errors that Walk reports for nodes that were not visited because something they need
// failed. Test with errors.Is.
var ErrSkipped = errors.New("skipped")

// SkippedError says which node's failure made Walk leave another one out.
type SkippedError struct {
	Cause string // the node that failed; if that one was skipped itself, the one at the root
}

func (e *SkippedError) Error() string { return fmt.Sprintf("skipped: %s failed", e.Cause) }

// Is makes a SkippedError match ErrSkipped.
func (e *SkippedError) Is(target error) bool { return target == ErrSkipped }

// Walk visits every node once, after everything that it needs was visited, at most limit at the same time (no bound if
// limit <= 0), those that are Free not counted. It goes on after failures: only what depends on a failed node is left out.
// When the context is done, no further visit begins; those that run are waited for.
//
// It returns the error of each node that failed, was skipped (a *SkippedError) or was not reached (the context's error).
// An empty map means that all went well. A graph with a cycle is reported under the cycle's first node, and nothing is
// visited.
func (g *Graph) Walk(ctx context.Context, limit int, visit func(ctx context.Context, node string) error) map[string]error {
	order, err := g.Sort()
	if err != nil {
		var cycle *CycleError
		errors.As(err, &cycle)
		return map[string]error{cycle.Path[0]: err}
	}
	w := newWalker(g, order)
	results := make(chan result)
	running, counted := 0, 0
	begin := func(queue *[]string) {
		node := (*queue)[0]
		*queue = (*queue)[1:]
		running++
		go func() { results <- result{node, visit(ctx, node)} }()
	}
	for {
		for len(w.free) > 0 && ctx.Err() == nil {
			begin(&w.free)
		}
		for len(w.ready) > 0 && (limit <= 0 || counted < limit) && ctx.Err() == nil {
			counted++
			begin(&w.ready)
		}
		if running == 0 {
			break
		}
		r := <-results
		running--
		if !g.free[r.node] {
			counted--
		}
		w.finish(r.node, r.err)
	}
	if ctx.Err() != nil {
		w.abandon(context.Cause(ctx))
	}
	return w.errs
}

type result struct {
	node string
	err  error
}

// walker keeps the books of one walk; only the goroutine that called Walk touches it.
type walker struct {
	graph      *Graph
	order      []string
	waiting    map[string]int      // how many needs are not visited yet
	dependents map[string][]string // the edges the other way round
	settled    map[string]bool     // visited or skipped
	ready      []string
	free       []string // ready, and not counted
	errs       map[string]error
}

func newWalker(g *Graph, order []string) *walker {
	w := &walker{
		graph:      g,
		order:      order,
		waiting:    make(map[string]int, len(order)),
		dependents: make(map[string][]string, len(order)),
		settled:    make(map[string]bool, len(order)),
		errs:       make(map[string]error),
	}
	for _, node := range order {
		for _, need := range g.needs[node] {
			if _, known := g.needs[need]; known {
				w.waiting[node]++
				w.dependents[need] = append(w.dependents[need], node)
			}
		}
		if w.waiting[node] == 0 {
			w.enqueue(node)
		}
	}
	return w
}

func (w *walker) finish(node string, err error) {
	w.settled[node] = true
	if err != nil {
		w.errs[node] = err
		w.skip(node, node)
		return
	}
	for _, d := range w.dependents[node] {
		w.release(d)
	}
}

// release counts one need of the node as over.
func (w *walker) release(node string) {
	w.waiting[node]--
	if w.waiting[node] == 0 && !w.settled[node] {
		w.enqueue(node)
	}
}

func (w *walker) enqueue(node string) {
	if w.graph.free[node] {
		w.free = append(w.free, node)
		return
	}
	w.ready = append(w.ready, node)
}

func (w *walker) skip(node, cause string) {
	for _, d := range w.dependents[node] {
		if w.settled[d] {
			continue
		}
		if w.graph.soft[edge{d, node}] {
			w.release(d)
			continue
		}
		w.settled[d] = true
		w.errs[d] = &SkippedError{Cause: cause}
		w.skip(d, cause)
	}
}

func (w *walker) abandon(cause error) {
	for _, node := range w.order {
		if !w.settled[node] {
			w.errs[node] = cause
		}
	}
}
