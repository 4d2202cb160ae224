package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/variables"
)

// Merging in parts gives the same model as compose-go's own way.
func TestPartsMakeTheWhole(t *testing.T) {
	files, err := filepath.Glob("testdata/projects/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		for _, profile := range []string{"", "p"} {
			m := mergerFor(t, file, profile)
			if !m.plain() {
				t.Fatalf("%s: not merged in parts", file)
			}
			parts, err := m.merge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			whole, err := m.whole(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			compareModels(t, parts, whole)
		}
	}
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("with one CPU there is one part")
	}
}

func mergerFor(t *testing.T, file, profile string) *merger {
	t.Helper()
	path, _ := filepath.Abs(file)
	f := &found{files: []string{path}, dir: filepath.Dir(path), vars: variables.From(map[string]string{"SEC": "s"}, variables.Environment)}
	sources, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	in := newInterpolator(Options{})
	for _, s := range sources {
		in.fill(s)
	}
	if err := append(in.errors, check(sources)...).Sorted(); err != nil {
		t.Fatal(err)
	}
	details := types.ConfigDetails{WorkingDir: f.dir, Environment: types.Mapping{"SEC": "s"}}
	return &merger{files: f.files, sources: sources, name: "x", profiles: []string{profile}, details: details}
}

func compareModels(t *testing.T, parts, whole *types.Project) {
	t.Helper()
	a, b := indented(t, parts), indented(t, whole)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d: in parts %s, whole %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) || len(parts.DisabledServices) != len(whole.DisabledServices) {
		t.Errorf("%d lines and %d, %d disabled services and %d", len(a), len(b), len(parts.DisabledServices), len(whole.DisabledServices))
	}
}

func indented(t *testing.T, p *types.Project) []string {
	t.Helper()
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

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
