package merge

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
)

// Filled tells what was replaced in a scalar: the text as it was written, and the variables. The text is "" if nothing was.
type Filled func(*yaml.Node) (raw string, uses []tree.Use)

// FromNode makes a tree of a document. Aliases are replaced by copies of what they stand for, and what "<<" brings in
// stands behind a mapping's own keys. It says whether the document has the tags "!reset" or "!override".
//
// The document must have passed the structure's checks: aliases form no circle.
func FromNode(n *yaml.Node, file *tree.File, filled Filled) (root *tree.Value, tagged bool) {
	c := &converter{file: file, filled: filled}
	root = c.value(n)
	return root, c.tagged
}

type converter struct {
	file   *tree.File
	filled Filled
	tagged bool
	spare  []tree.Value // allocated together; most values live equally long
}

func (c *converter) place(n *yaml.Node) tree.Place {
	return tree.Place{File: c.file, Line: n.Line, Col: n.Column}
}

func (c *converter) alloc(n *yaml.Node, kind tree.Kind) *tree.Value {
	if len(c.spare) == 0 {
		c.spare = make([]tree.Value, 128)
	}
	v := &c.spare[0]
	c.spare = c.spare[1:]
	v.Kind, v.Place = kind, c.place(n)
	return v
}

func (c *converter) value(n *yaml.Node) *tree.Value {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!reset" {
		c.tagged = true
		v := c.alloc(n, tree.Null)
		v.Reset = true
		return v
	}
	v := c.plain(n)
	if n.Tag == "!override" {
		c.tagged = true
		v.Replace = true
	}
	return v
}

func (c *converter) plain(n *yaml.Node) *tree.Value {
	switch n.Kind {
	case yaml.MappingNode:
		v := c.alloc(n, tree.Map)
		c.entries(v, n)
		return v
	case yaml.SequenceNode:
		v := c.alloc(n, tree.List)
		v.Items = make([]*tree.Value, 0, len(n.Content))
		for _, below := range n.Content {
			if item := c.value(below); !item.Reset {
				v.Items = append(v.Items, item)
			}
		}
		return v
	}
	v := c.alloc(n, tree.Null)
	v.Kind, v.Text = scalar(n)
	v.Raw, v.Uses = c.filled(n)
	return v
}

// entries adds a mapping's own keys, and then those that it merges and does not have. Of several merged ones the first wins.
func (c *converter) entries(v *tree.Value, n *yaml.Node) {
	v.Entries = make([]tree.Entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Tag != "!!merge" {
			v.Entries = append(v.Entries, tree.Entry{Key: aliased(key).Value, At: c.place(key), Value: c.value(n.Content[i+1])})
		}
	}
	c.merges(v, n)
}

// merges adds what the mapping n merges. Only what v does not have is made: mappings that merge each other in a long chain
// would otherwise be made again for each link of it.
func (c *converter) merges(v *tree.Value, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			c.merge(v, aliased(n.Content[i+1]))
		}
	}
}

// merge adds the keys that v does not have of a mapping, or of each in a list of them.
func (c *converter) merge(v *tree.Value, n *yaml.Node) {
	c.tagged = c.tagged || n.Tag == "!reset" || n.Tag == "!override"
	switch {
	case n.Tag == "!reset":
		return
	case n.Kind == yaml.SequenceNode:
		for _, part := range n.Content {
			c.merge(v, aliased(part))
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if name := aliased(key).Value; key.Tag != "!!merge" && v.Entry(name) == nil {
			v.Set(name, c.place(key), c.value(n.Content[i+1]))
		}
	}
	c.merges(v, n)
}

func aliased(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// scalar is what the node says. Numbers and booleans have one spelling, so that 0x10 is 16.
func scalar(n *yaml.Node) (tree.Kind, string) {
	switch n.ShortTag() {
	case "!!null":
		return tree.Null, ""
	case "!!bool":
		return decoded(n, tree.Bool)
	case "!!int":
		if decimal(n.Value) {
			return tree.Int, n.Value
		}
		return decoded(n, tree.Int)
	case "!!float":
		return decoded(n, tree.Float)
	case "!!binary":
		return decoded(n, tree.String)
	}
	return tree.String, n.Value
}

func decoded(n *yaml.Node, kind tree.Kind) (tree.Kind, string) {
	var value any
	if err := n.Decode(&value); err != nil {
		return tree.String, n.Value
	}
	return kind, fmt.Sprint(value)
}

// decimal says whether the text is a number as programs print it.
func decimal(s string) bool {
	for i, r := range s {
		if r < '0' || r > '9' || i == 0 && r == '0' && len(s) > 1 {
			return false
		}
	}
	return s != ""
}
