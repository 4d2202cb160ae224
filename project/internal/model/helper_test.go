package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"
)

// parse is the tree of a text, its variables replaced.
func parse(t testing.TB, text, dir string, env map[string]string) *tree.Value {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	c := &converter{t, &tree.File{Name: filepath.Join(dir, "compose.yaml"), Dir: dir, Env: env}}
	return c.value(doc.Content[0])
}

type converter struct {
	testing.TB
	file *tree.File
}

func (c *converter) value(n *yaml.Node) *tree.Value {
	v := &tree.Value{Place: tree.Place{File: c.file, Line: n.Line, Col: n.Column}}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias)
	case yaml.SequenceNode:
		v.Kind = tree.List
		for _, item := range n.Content {
			v.Items = append(v.Items, c.value(item))
		}
	case yaml.MappingNode:
		v.Kind = tree.Map
		c.entries(v, n)
	default:
		c.scalar(v, n)
	}
	return v
}

func (c *converter) entries(v *tree.Value, n *yaml.Node) {
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], c.value(n.Content[i+1])
		if key.Tag != "!!merge" {
			v.Set(key.Value, tree.Place{File: c.file, Line: key.Line, Col: key.Column}, value)
			continue
		}
		for _, e := range value.Entries {
			if v.Entry(e.Key) == nil {
				v.Set(e.Key, e.At, e.Value)
			}
		}
	}
}

func (c *converter) scalar(v *tree.Value, n *yaml.Node) {
	v.Text = n.Value
	switch n.ShortTag() {
	case "!!null":
		v.Kind, v.Text = tree.Null, ""
	case "!!bool":
		v.Kind, v.Text = tree.Bool, strings.ToLower(n.Value)
	case "!!int":
		v.Kind = tree.Int
	case "!!float":
		v.Kind = tree.Float
	default:
		v.Kind = tree.String
		text, err := template.Substitute(n.Value, func(name string) (string, bool) { s, ok := c.file.Env[name]; return s, ok })
		if err != nil {
			c.Fatal(err)
		}
		v.Text = text
	}
}

// write makes the files of a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
