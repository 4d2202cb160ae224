package project

import (
	"bytes"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// source is one parsed file.
type source struct {
	file    string
	content []byte
	lines   []int                 // where each line begins; computed when one is quoted
	root    *yaml.Node            // the mapping at the top; nil for an empty document
	size    int                   // how many values it has, aliases replaced
	of      *tree.File            // nil for what is no Compose file
	vars    variables.Env         // what its variables are replaced from
	filled  map[*yaml.Node]filled // by phase 3; nil before it
	dynamic map[*yaml.Node]bool   // values that had a variable in them
	dollars dollars               // of the scalar that was asked for last
	aliased []*yaml.Node          // aliases of scalars
}

// detach makes the aliases of scalars scalars of their own: what is a number in one place may be a text in another.
func (s *source) detach() {
	for _, n := range s.aliased {
		of := n.Alias
		*n = *of
		n.Anchor = ""
		if f, ok := s.filled[of]; ok {
			s.filled[n], s.dynamic[n] = f, true
		}
	}
	s.aliased = nil
}

func newSource(file string, content []byte) *source {
	return &source{file: file, content: content}
}

// index finds where the lines begin. The documents of a file share what it finds.
func (s *source) index() {
	s.lines = []int{0}
	for i, c := range s.content {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
}

func (s *source) line(n int) string {
	if s.lines == nil {
		s.index()
	}
	if n < 1 || n > len(s.lines) {
		return ""
	}
	line, _, _ := bytes.Cut(s.content[s.lines[n-1]:], []byte("\n"))
	return strings.TrimRight(string(line), "\r")
}

// at is an error at a place of the file, with the line quoted and how the file came into the project.
func (s *source) at(line, col int, problem, fix string) *Error {
	snippet, shown := window(s.line(line), col)
	return &Error{
		Position: Position{s.file, line, col}, Snippet: strings.Clone(snippet), shift: col - shown,
		Problem: problem, Fix: fix, Via: s.via(),
	}
}

// ruled is at with the mistake's kind.
func (s *source) ruled(rule string, line, col int, problem, fix string) *Error {
	e := s.at(line, col, problem, fix)
	e.Rule = rule
	return e
}

func (s *source) atNode(n *yaml.Node, problem, fix string) *Error {
	return s.at(n.Line, n.Column, problem, fix)
}

// via is the chain of files from this one to one of the command line.
func (s *source) via() []Via {
	var out []Via
	for f := s.of; f != nil && f.Via != nil; f = f.Via.File {
		out = append(out, Via{Position{f.Via.File.Name, f.Via.Line, f.Via.Col}, f.Via.Kind, f.Via.Service})
	}
	return out
}

// filling is what phase 3 knows of a scalar.
func (s *source) filling(n *yaml.Node) (string, []tree.Use) {
	f := s.filled[n]
	return f.raw, f.uses
}

// obsolete warns about "version", which has had no effect for years.
func (s *source) obsolete() []Warning {
	if e, n := s.find([]string{"version"}); n == 1 {
		return []Warning{{Position{s.file, e.key.Line, e.key.Column}, "version has no effect any more; remove the line", "obsolete"}}
	}
	return nil
}

// entry is a key and its value in a mapping; in a list the key is nil.
type entry struct{ key, value *yaml.Node }

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
			if c.Kind == yaml.ScalarNode && tree.NameOf(c.Value) == step {
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
