package project

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func load(t *testing.T, files map[string]string, o Options) (*Project, []Warning) {
	t.Helper()
	dir := t.TempDir()
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	o.WorkDir = filepath.Join(dir, o.WorkDir)
	p, warnings, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p, warnings
}

func writeAll(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// filesText is all files in one text, to be read by people.
func filesText(files map[string]string) string {
	out := ""
	for _, name := range sortedKeys(files) {
		out += "-- " + name + " --\n" + files[name]
	}
	return out
}
