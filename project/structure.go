package project

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/variables"
)

// maxNodes bounds what a file may grow to when its aliases are replaced by what they stand for.
const maxNodes = 1_000_000

// structure is the last part of phase 2. After it, aliases form no circle, "<<" merges mappings only, keys are plain and
// differ, and the whole is of a bounded size, so that the phases after it may walk freely.
type structure struct {
	*source
	onPath map[*yaml.Node]bool
	size   map[*yaml.Node]int // of what aliases name
	deep   bool               // it was reported
	errors Errors
}

func (s *source) checkStructure() Errors {
	c := &structure{source: s, onPath: make(map[*yaml.Node]bool), size: make(map[*yaml.Node]int)}
	if n := c.walk(s.root, 1); n > maxNodes && len(c.errors) == 0 {
		c.fail(variables.RuleLimit, s.root, fmt.Sprintf("the file has more than %d values when its aliases are replaced by what they stand for, the most that is read", maxNodes), "")
	}
	return c.errors
}

func (c *structure) fail(rule string, n *yaml.Node, problem, fix string) {
	c.errors = append(c.errors, c.ruled(rule, n.Line, n.Column, problem, fix))
}

// walk checks the node and what is below it, once, and returns how many nodes that is.
func (c *structure) walk(n *yaml.Node, depth int) int {
	if size, done := c.size[n]; done {
		return size
	}
	if depth > maxDepth {
		if c.deep {
			return 1
		}
		c.deep = true
		c.fail(variables.RuleLimit, n, fmt.Sprintf("the values are more than %d levels deep, the most that is read", maxDepth), "")
		return 1
	}
	if c.onPath[n] {
		c.fail("cycle", n, fmt.Sprintf("%q contains itself", n.Anchor), "")
		return 1
	}
	c.onPath[n] = true
	defer delete(c.onPath, n)
	size := 1
	if n.Kind == yaml.AliasNode {
		size += c.walk(n.Alias, depth+1)
	}
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	for _, below := range n.Content {
		size = min(size+c.walk(below, depth+1), maxNodes+1)
	}
	c.size[n] = size
	return size
}

func (c *structure) keys(n *yaml.Node) {
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			c.merge(value)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			c.fail("wrong-type", key, "a key must be a string", "")
			continue
		}
		if tag := key.ShortTag(); tag != "!!str" {
			c.fail("wrong-type", key, fmt.Sprintf("the key %s must be a string", key.Value), fmt.Sprintf("write it in quotes: %q", key.Value))
		}
		if first, twice := seen[key.Value]; twice {
			c.fail("duplicate-key", key, fmt.Sprintf("%s is already set in line %d", key.Value, first.Line), "remove one of the two")
		}
		seen[key.Value] = key
	}
}

// merge checks the value of "<<": a mapping, or a list of them.
func (c *structure) merge(value *yaml.Node) {
	parts := []*yaml.Node{value}
	if list := resolveAlias(value); list.Kind == yaml.SequenceNode {
		parts = list.Content
	}
	for _, part := range parts {
		if resolveAlias(part).Kind != yaml.MappingNode {
			c.fail("wrong-type", part, "<< merges mappings only", "name an anchor of a mapping: <<: *name")
		}
	}
}
