package project

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/variables"
)

// maxNodes bounds what a file may grow to when its aliases are replaced by what they stand for.
const maxNodes = 1_000_000

// fewKeys is up to how many keys of a mapping are compared with each other without an index.
const fewKeys = 16

// structure is the last part of phase 2. After it, aliases form no circle, "<<" merges mappings only, keys are plain and
// differ, and the whole is of a bounded size, so that the phases after it may walk freely.
type structure struct {
	*source
	onPath map[*yaml.Node]bool // what has an anchor: nothing else can be reached twice
	size   map[*yaml.Node]int  // of what has an anchor
	deep   bool                // it was reported
	errors Errors
}

func (s *source) checkStructure() Errors {
	c := &structure{source: s, onPath: make(map[*yaml.Node]bool), size: make(map[*yaml.Node]int)}
	if s.size = c.walk(s.root, 1); s.size > maxNodes && len(c.errors) == 0 {
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
	if n.Anchor == "" {
		return c.below(n, depth)
	}
	c.onPath[n] = true
	c.size[n] = c.below(n, depth)
	delete(c.onPath, n)
	return c.size[n]
}

func (c *structure) below(n *yaml.Node, depth int) int {
	size := 1
	if n.Kind == yaml.AliasNode {
		size += c.walk(n.Alias, depth+1)
		if n.Alias.Kind == yaml.ScalarNode {
			c.aliased = append(c.aliased, n)
		}
	}
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	for _, below := range n.Content {
		size = min(size+c.walk(below, depth+1), maxNodes+1)
	}
	return size
}

func (c *structure) keys(n *yaml.Node) {
	var seen map[string]*yaml.Node
	if len(n.Content)/2 > fewKeys {
		seen = make(map[string]*yaml.Node, len(n.Content)/2)
	}
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
		first := earlier(n.Content[:i], key.Value, seen)
		if first != nil {
			c.fail("duplicate-key", key, fmt.Sprintf("%s is already set in line %d", key.Value, first.Line), "remove one of the two")
		}
		if seen != nil {
			seen[key.Value] = key
		}
	}
}

// earlier is the last of the keys before that is the same. It is looked for in seen, which a mapping of few keys does without.
func earlier(before []*yaml.Node, key string, seen map[string]*yaml.Node) *yaml.Node {
	if seen != nil {
		return seen[key]
	}
	for i := len(before) - 2; i >= 0; i -= 2 {
		if before[i].Value == key && before[i].Kind == yaml.ScalarNode && before[i].Tag != "!!merge" {
			return before[i]
		}
	}
	return nil
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
