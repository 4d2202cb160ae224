package project

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/grammar"
	"stackrun.dev/stack/project/internal/schema"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// checker is phase 4 for one file: the shape of everything against the specification's schema, and the grammars of values.
type checker struct {
	*source
	path   []string       // where in the file we are: keys and "[0]"
	within []*schema.Rule // of each mapping or list on the path
	seen   map[visited]bool

	errors   Errors
	warnings []Warning
}

// visited is a part of the file under a rule. Aliases make the same part appear many times.
type visited struct {
	node *yaml.Node
	rule *schema.Rule
}

// check is phase 4: every file against the schema and the grammars of values.
func check(sources []*source) (Errors, []Warning) {
	var out Errors
	var warnings []Warning
	for _, s := range sources {
		if s.root == nil {
			continue
		}
		c := &checker{source: s, seen: make(map[visited]bool)}
		c.node(s.root, schema.Root(), shapes())
		out = append(out, c.errors...)
		warnings = append(warnings, c.warnings...)
	}
	return out, warnings
}

func (c *checker) report(rule string, n *yaml.Node, problem, fix string) {
	c.add(c.ruled(rule, n.Line, n.Column, problem, fix))
}

// add takes in a mistake. A file that is nothing but mistakes gets as many messages as somebody may read.
func (c *checker) add(e *Error) {
	c.errors = c.errors.with(e)
}

func (c *checker) full() bool {
	return len(c.errors) > mostNotices
}

// done says whether the node was checked before, which only one with an anchor can have been.
func (c *checker) done(n *yaml.Node, r *schema.Rule) bool {
	if n.Anchor == "" {
		return false
	}
	v := visited{n, r}
	was := c.seen[v]
	c.seen[v] = true
	return was
}

// node checks a value against its rule. Below a shape that is nil no text has a form of its own.
func (c *checker) node(n *yaml.Node, r *schema.Rule, s *shape) {
	n = resolveAlias(n)
	if n.Tag == "!reset" || c.done(n, r) || c.full() {
		return
	}
	if !c.accepts(n, r) {
		c.wrongType(n, r)
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		c.within = append(c.within, r)
		c.mapping(n, r, s)
		c.required(n, r)
		c.within = c.within[:len(c.within)-1]
	case yaml.SequenceNode:
		c.within = append(c.within, r)
		c.sequence(n, r, s)
		c.within = c.within[:len(c.within)-1]
	case yaml.ScalarNode:
		c.scalar(n, r, s)
	}
}

// kindOf is what a node is, whatever tag of ours it has.
func kindOf(n *yaml.Node) schema.Kinds {
	switch n.Kind {
	case yaml.MappingNode:
		return schema.Map
	case yaml.SequenceNode:
		return schema.List
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		plain := *n
		plain.Tag = ""
		n = &plain
	}
	switch n.ShortTag() {
	case "!!int":
		return schema.Int
	case "!!float":
		return schema.Float
	case "!!bool":
		return schema.Bool
	case "!!null":
		return schema.Null
	}
	return schema.String
}

// accepts says whether the rule takes values of the node's kind. One that had a variable in it may be meant as any scalar.
func (c *checker) accepts(n *yaml.Node, r *schema.Rule) bool {
	if r.Kinds&kindOf(n) != 0 {
		return true
	}
	const scalars = schema.String | schema.Int | schema.Float | schema.Bool
	return n.Kind == yaml.ScalarNode && r.Kinds&scalars != 0 && (c.dynamic[n] || c.open(n))
}

// open says whether there are variables in the text that were not replaced: the text may become anything.
func (c *checker) open(n *yaml.Node) bool { return strings.Contains(n.Value, "$") && !c.dynamic[n] }

func (c *checker) sequence(n *yaml.Node, r *schema.Rule, s *shape) {
	if r.Items == nil {
		return
	}
	below := s.step("[]")
	for i, item := range n.Content {
		c.path = append(c.path, "["+strconv.Itoa(i)+"]")
		c.node(item, r.Items, below)
		c.path = c.path[:len(c.path)-1]
	}
}

func (c *checker) scalar(n *yaml.Node, r *schema.Rule, s *shape) {
	kind := kindOf(n)
	if kind == schema.Null || c.open(n) {
		return
	}
	if s != nil && s.cast != nil && kind == schema.String {
		if err := s.cast.set(n); err != nil {
			c.report("wrong-type", n, fmt.Sprintf("%s cannot be %q: %v", c.name(), n.Value, err), "")
			return
		}
	}
	if s != nil && s.check != nil {
		if f := s.check(n.Value); f != nil {
			c.fault(n, f)
			return
		}
	}
	if len(r.Enum) > 0 && kind == schema.String && !slices.Contains(r.Enum, n.Value) && !(n.Value == "" && c.dynamic[n]) {
		fix := "write " + strings.Join(r.Enum, " or ")
		if near := nearest(n.Value, r.Enum); near != "" && editDistance(n.Value, near) <= 2 {
			fix = suggest(n.Value, r.Enum)
		}
		c.report("invalid-value", n, fmt.Sprintf("%s cannot be %q", c.name(), n.Value), fix)
	}
	var number float64
	if r.Range == nil || n.Decode(&number) != nil {
		return
	}
	if number < r.Range.Min {
		c.report("out-of-range", n, fmt.Sprintf("%s must be at least %v", c.name(), r.Range.Min), "")
	}
	if number > r.Range.Max {
		c.report("out-of-range", n, fmt.Sprintf("%s must be at most %v", c.name(), r.Range.Max), "")
	}
}

// fault reports what a grammar found, with the caret under the part that is to blame.
func (c *checker) fault(n *yaml.Node, f *grammar.Fault) {
	line, col := n.Line, n.Column
	if f.Part != "" {
		line, col = c.locateBehind(n, f.Before, f.Part)
	}
	fix := f.Fix
	if near := suggest(f.Part, f.Words); near != "" {
		fix = near
	}
	if f.Mild {
		c.advise(variables.Notice{Rule: f.Rule, Text: f.Problem, Fix: fix}, line, col)
		return
	}
	e := c.ruled(f.Rule, line, col, f.Problem, fix)
	_, uses := c.filling(n)
	e.follows = slices.ContainsFunc(uses, func(u tree.Use) bool { return !u.Set })
	c.add(e)
}

// advise warns of something in the file, as often as somebody may read it.
func (c *checker) advise(n variables.Notice, line, col int) {
	if len(c.warnings) < mostNotices {
		c.warnings = append(c.warnings, c.warning(n, line, col))
	}
}

func (c *checker) mapping(n *yaml.Node, r *schema.Rule, s *shape) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			c.merged(value, r, s)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			c.report("wrong-type", key, "a key must be a string", "")
			continue
		}
		if c.full() {
			return
		}
		below, fixed := r.Find(key.Value)
		if below == nil || below == schema.Service() && meantForTop(key.Value, value) {
			c.unknownKey(key, value, r)
			continue
		}
		if now := formerNames[key.Value]; now != "" && r.Fixed(now) != nil {
			c.advise(variables.Notice{Rule: "obsolete", Text: key.Value + " is what " + now + " was called before it was in the specification", Fix: "write " + now}, key.Line, key.Column)
		}
		step := key.Value
		if !fixed {
			step = "*"
			c.keyName(key, s)
		}
		c.path = append(c.path, key.Value)
		c.node(value, below, s.step(step))
		c.path = c.path[:len(c.path)-1]
	}
}

// formerNames are extensions that are part of the specification by now, and their names there.
var formerNames = map[string]string{"x-develop": "develop", "x-initialSync": "initial_sync"}

// keyName checks a name that the user gives.
func (c *checker) keyName(key *yaml.Node, s *shape) {
	if names := s.step("?"); names != nil && !strings.HasPrefix(key.Value, "x-") {
		if f := names.check(key.Value); f != nil {
			c.fault(key, f)
		}
	}
}

// required reports keys that are missing.
func (c *checker) required(n *yaml.Node, r *schema.Rule) {
	for _, name := range r.Required {
		if _, ok := childOfMapping(n, name); !ok {
			e := c.ruled("missing-key", n.Line, n.Column, fmt.Sprintf("%s needs %s", c.name(), name), "add "+name+":")
			e.lacking = append(slices.Clone(c.path), name)
			c.add(e)
		}
	}
	has := func(name string) bool { _, ok := childOfMapping(n, name); return ok }
	if len(r.OneOf) > 0 && !slices.ContainsFunc(r.OneOf, has) {
		c.report("missing-key", n, fmt.Sprintf("%s needs %s", c.name(), strings.Join(r.OneOf, " or ")), "")
	}
}

// merged checks what "<<" brings in as if it were written here.
func (c *checker) merged(value *yaml.Node, r *schema.Rule, s *shape) {
	value = resolveAlias(value)
	if value.Kind == yaml.SequenceNode {
		for _, part := range value.Content {
			c.merged(part, r, s)
		}
		return
	}
	if value.Kind == yaml.MappingNode && !c.done(value, r) {
		c.mapping(value, r, s)
	}
}

// name is how messages call the value: services.web.ports[0], or "the file".
func (c *checker) name() string {
	if len(c.path) == 0 {
		return "the file"
	}
	return strings.ReplaceAll(strings.Join(c.path, "."), ".[", "[")
}
