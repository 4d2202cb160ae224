package project

import (
	"bytes"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/variables"
)

// source is one parsed file.
type source struct {
	file      string
	content   []byte
	root      *yaml.Node // the mapping at the top; nil for an empty file
	documents int
	vars      variables.Env         // what its variables are replaced from
	dynamic   map[*yaml.Node]bool   // values that had a variable in them
	filled    map[*yaml.Node]filled // by phase 3; nil before it
}

func newSource(file string, content []byte) *source {
	return &source{file: file, content: content}
}

func (s *source) line(n int) string {
	i := 0
	for line := range bytes.Lines(s.content) {
		if i++; i == n {
			return strings.TrimRight(string(line), "\r\n")
		}
	}
	return ""
}

// at is an error at a place of the file, with the line quoted.
func (s *source) at(line, col int, problem, fix string) *Error {
	return &Error{Position: Position{s.file, line, col}, Snippet: s.line(line), Problem: problem, Fix: fix}
}

func (s *source) atNode(n *yaml.Node, problem, fix string) *Error {
	return s.at(n.Line, n.Column, problem, fix)
}

// entry is a key and its value in a mapping; in a list the key is nil.
type entry struct{ key, value *yaml.Node }

func (e entry) place() *yaml.Node {
	if e.key != nil {
		return e.key
	}
	return e.value
}

// find follows the path as far as it exists and says how many of its steps that were. A step is a key, or in a list
// an index, or the name before "=" or ":" of an entry in a list of "name=value".
func (s *source) find(path []string) (entry, int) {
	if s.root == nil {
		return entry{}, 0
	}
	at := entry{value: s.root}
	for i, step := range path {
		next, ok := child(at.value, step)
		if !ok {
			return at, i
		}
		at = next
	}
	return at, len(path)
}

func child(n *yaml.Node, step string) (entry, bool) {
	n = resolveAlias(n)
	switch n.Kind {
	case yaml.MappingNode:
		return childOfMapping(n, step)
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return entry{value: n.Content[i]}, true
		}
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode && nameOf(c.Value) == step {
				return entry{value: c}, true
			}
		}
	}
	return entry{}, false
}

func childOfMapping(n *yaml.Node, step string) (entry, bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return entry{n.Content[i], n.Content[i+1]}, true
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		merged := resolveAlias(n.Content[i+1])
		parts := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			parts = merged.Content
		}
		for _, part := range parts {
			if e, ok := child(part, step); ok {
				return e, true
			}
		}
	}
	return entry{}, false
}

// scalars lists the scalar values below n; aliases are not followed.
func scalars(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, c := range n.Content {
		out = append(out, scalars(c)...)
	}
	return out
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// nameOf is what stands before "=" or ":" in "name=value", or all of it.
func nameOf(s string) string {
	if i := strings.IndexAny(s, "=:"); i > 0 {
		return s[:i]
	}
	return s
}

// Position says where the value at the path stands, for example Position("services", "web", "ports", "0"). Where several
// files state it, the last one counts, as in merging. Of a path that no file states, the nearest parent is given.
func (p *Project) Position(path ...string) Position {
	s, e := p.locate(path)
	if s == nil {
		return Position{}
	}
	return Position{s.file, e.place().Line, e.place().Column}
}

// Mistake is an Error about the value at the path.
func (p *Project) Mistake(problem, fix string, path ...string) *Error {
	s, e := p.locate(path)
	if s == nil {
		return &Error{Problem: problem, Fix: fix}
	}
	return s.atNode(e.place(), problem, fix)
}

func (p *Project) locate(path []string) (*source, entry) {
	var best *source
	var at entry
	depth := -1
	for _, s := range p.sources {
		if e, n := s.find(path); e.value != nil && n >= depth && n > 0 {
			best, at, depth = s, e, n
		}
	}
	return best, at
}
