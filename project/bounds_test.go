package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/variables"
)

// Whatever goes beyond a bound is refused with a message that names it.
func TestBounds(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "%", fmt.Sprint(i)))
		}
		return b.String()
	}
	aliases := "x-a: &a [" + repeat(10, "x, ") + "]\n"
	for i := 'b'; i < 'h'; i++ {
		aliases += fmt.Sprintf("x-%c: &%c [%s]\n", i, i, repeat(10, fmt.Sprintf("*%c, ", i-1)))
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"lines":     {map[string]string{"compose.yaml": "services: {a: {image: a}}\n" + strings.Repeat("\n", maxMarks)}, "1000000 lines and values"},
		"depth":     {map[string]string{"compose.yaml": "x-a: " + strings.Repeat("[", 600) + strings.Repeat("]", 600)}, "500 levels deep"},
		"documents": {map[string]string{"compose.yaml": "services: {a: {image: a}}\n" + strings.Repeat("---\n", maxDocuments)}, "1000 documents"},
		"aliases":   {map[string]string{"compose.yaml": aliases + "services: {a: {image: a}}\n"}, "1000000 values when its aliases are replaced"},
		"includes":  {map[string]string{"compose.yaml": "include:\n" + repeat(maxFiles, "  - {path: a.yaml, project_directory: d%}\n"), "a.yaml": "services: {a: {image: a}}\n"}, "10000 files"},
		"ports":     {map[string]string{"compose.yaml": "services:\n" + repeat(20, "  s%: {image: a, ports: ['1-65535:1-65535']}\n")}, "1000000 values"},
		"extends": {map[string]string{"compose.yaml": "services:\n  s:\n    image: a\n    environment:\n" + repeat(20000, "      A%: b\n") + repeat(100, "  c%: {extends: s, environment: {B: c}}\n")},
			"1000000 values, counted for each service that gets them"},
		"services":          {map[string]string{"compose.yaml": "services:\n" + repeat(maxServices+1, "  s%: {image: a}\n")}, "20000 services"},
		"chain of extends":  {map[string]string{"compose.yaml": "services:\n  s0: {image: a}\n  " + strings.TrimSuffix(chain(1500), "  ")}, "1000 services extend each other"},
		"chain of includes": {includes(200), "100 levels deep"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeAll(dir, tc.files); err != nil {
				t.Fatal(err)
			}
			_, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
			mistake, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(err.Error(), tc.want) || mistake.Line == 0 {
				t.Fatalf("error: %v", err)
			}
			if n := strings.Count(err.Error(), "the most that"); n != 1 {
				t.Errorf("told %d times:\n%v", n, err)
			}
		})
	}
}

// chain is services of which each extends the one after it.
func chain(n int) string {
	var b strings.Builder
	for i := n; i > 0; i-- {
		fmt.Fprintf(&b, "s%d: {extends: s%d}\n  ", i, i-1)
	}
	return b.String()
}

// includes is files of which each includes the next.
func includes(n int) map[string]string {
	files := map[string]string{"compose.yaml": "include: [1.yaml]\n", fmt.Sprintf("%d.yaml", n): "services: {a: {image: a}}\n"}
	for i := 1; i < n; i++ {
		files[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf("include: [%d.yaml]\n", i+1)
	}
	return files
}

// A large file is refused before it is in memory, wherever it is named.
func TestLargeFiles(t *testing.T) {
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"include.yaml": "include: [large]\n", "extends.yaml": "services: {a: {extends: {file: large, service: a}}}\n"}); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, 100<<20)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"large", "include.yaml", "extends.yaml", "/dev/zero", "-"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x", Files: []string{file}, Stdin: endless{}})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
			t.Errorf("%s: error: %v", file, err)
		}
		if mistake, ok := errors.AsType[*Error](err); file != "-" && (!ok || mistake.Rule != variables.RuleLimit) {
			t.Errorf("%s: %v has no rule", file, err)
		}
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 64 {
			t.Errorf("%s: %d MiB were allocated", file, grown)
		}
	}
}

// endless is a reader of spaces.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Four times as many services take four times the memory.
func TestMemoryIsLinear(t *testing.T) {
	allocated := func(services int) float64 {
		dir := manyServices(t, services)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := Load(t.Context(), Options{WorkDir: dir}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	allocated(10) // what is made once
	if few, many := allocated(250), allocated(1000); many > 5*few {
		t.Errorf("250 services took %.0f bytes, 1000 took %.0f", few, many)
	}
}
