package project

import (
	"os"
	"path/filepath"
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
