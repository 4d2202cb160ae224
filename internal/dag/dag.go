// Package dag is a directed graph of named nodes: sorted so that dependencies come first, with a cycle reported by its
// path, and walked in parallel, where what depends on a failed node is skipped.
//
// It knows nothing about what the nodes are. The project loader uses it for depends_on, the executor for plans.
package dag

import (
	"slices"
	"strings"
)

// Graph holds nodes and, for each, the nodes that it needs. The zero value is an empty graph. It is not safe for
// concurrent changes.
type Graph struct {
	needs map[string][]string
	many  map[string]map[string]bool // the needs again, of nodes with more than manyNeeds
	soft  map[edge]bool              // needs whose failure does not matter
	free  map[string]bool
	order []string // as added, which decides between nodes that are equally ready
}

type edge struct{ node, need string }

// WithSize is an empty graph with room for so many nodes.
func WithSize(nodes int) *Graph {
	return &Graph{
		needs: make(map[string][]string, nodes), many: make(map[string]map[string]bool), soft: make(map[edge]bool),
		order: make([]string, 0, nodes),
	}
}

// Add makes the node known and adds what it needs. Nodes that are needed and never added themselves are ignored by Sort and
// Walk: whoever builds the graph decides whether that is a mistake.
func (g *Graph) Add(node string, needs ...string) { g.add(node, needs, false) }

// AddAfter is Add for needs that must be over first, but may have failed or been skipped. What is needed by Add already
// stays so.
func (g *Graph) AddAfter(node string, others ...string) { g.add(node, others, true) }

// Free says that visits of the node do nothing but wait, so that they do not count against Walk's limit.
func (g *Graph) Free(node string) {
	if g.free == nil {
		g.free = make(map[string]bool)
	}
	g.free[node] = true
}

func (g *Graph) add(node string, needs []string, soft bool) {
	if g.needs == nil {
		empty := WithSize(0)
		g.needs, g.many, g.soft = empty.needs, empty.many, empty.soft
	}
	list, known := g.needs[node]
	if !known {
		g.order = append(g.order, node)
	}
	list = slices.Grow(list, len(needs))
	for _, need := range needs {
		switch known := g.knows(node, list, need); {
		case known && !soft:
			delete(g.soft, edge{node, need})
		case !known:
			list = append(list, need)
			if soft {
				g.soft[edge{node, need}] = true
			}
		}
	}
	g.needs[node] = list
}

// manyNeeds is how many needs of one node are searched one by one.
const manyNeeds = 16

// knows says that the node has the need already, which list holds, and remembers it.
func (g *Graph) knows(node string, list []string, need string) bool {
	if len(list) < manyNeeds {
		return slices.Contains(list, need)
	}
	set := g.many[node]
	if set == nil {
		set = make(map[string]bool, 2*len(list))
		for _, known := range list {
			set[known] = true
		}
		g.many[node] = set
	}
	known := set[need]
	set[need] = true
	return known
}

// Nodes returns the nodes in the order in which they were added.
func (g *Graph) Nodes() []string { return slices.Clone(g.order) }

// Needs returns what the node needs.
func (g *Graph) Needs(node string) []string { return g.needs[node] }

// CycleError says that some nodes need each other.
type CycleError struct {
	Path []string // the nodes of the cycle; the first is repeated at the end
}

func (e *CycleError) Error() string { return "cycle: " + strings.Join(e.Path, " -> ") }

// Sort returns the nodes, dependencies first. Nodes that do not depend on each other keep the order in which they were
// added. The error is a *CycleError.
func (g *Graph) Sort() ([]string, error) {
	s := sorter{graph: g, state: make(map[string]visit, len(g.order)), out: make([]string, 0, len(g.order))}
	for _, node := range g.order {
		if err := s.visit(node); err != nil {
			return nil, err
		}
	}
	return s.out, nil
}

type visit uint8

const (
	unseen visit = iota
	onPath
	done
)

type sorter struct {
	graph *Graph
	state map[string]visit
	path  []string
	out   []string
}

func (s *sorter) visit(node string) error {
	switch s.state[node] {
	case done:
		return nil
	case onPath:
		start := slices.Index(s.path, node)
		return &CycleError{Path: append(slices.Clone(s.path[start:]), node)}
	}
	if _, known := s.graph.needs[node]; !known {
		return nil
	}
	s.state[node] = onPath
	s.path = append(s.path, node)
	for _, need := range s.graph.needs[node] {
		if err := s.visit(need); err != nil {
			return err
		}
	}
	s.path = s.path[:len(s.path)-1]
	s.state[node] = done
	s.out = append(s.out, node)
	return nil
}

// Closure returns the given nodes and everything that they need, directly or not, in no particular order of need but
// always the same for the same graph and arguments.
func (g *Graph) Closure(nodes ...string) []string {
	seen := make(map[string]bool, len(nodes))
	var out []string
	queue := slices.Clone(nodes)
	for len(queue) > 0 {
		node := queue[0]
		queue = queue[1:]
		if seen[node] {
			continue
		}
		seen[node] = true
		out = append(out, node)
		queue = append(queue, g.needs[node]...)
	}
	return out
}
