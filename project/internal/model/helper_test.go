package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/merge"
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
	replace(t, &doc, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
	none := func(*yaml.Node) (string, []tree.Use) { return "", nil }
	root, _ := merge.FromNode(doc.Content[0], &tree.File{Name: filepath.Join(dir, "compose.yaml"), Dir: dir, Env: env}, none)
	return root
}

// replace replaces the variables in texts.
func replace(t testing.TB, n *yaml.Node, lookup template.Mapping) {
	t.Helper()
	for _, below := range n.Content {
		replace(t, below, lookup)
	}
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "$") {
		return
	}
	text, err := template.Substitute(n.Value, lookup)
	if err != nil {
		t.Fatal(err)
	}
	n.Value, n.Tag = text, "!!str"
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
