package lint

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"stackrun.dev/stack/project"
)

var update = flag.Bool("update", false, "rewrite the expected findings in testdata and the page of the rules")

// Each archive in testdata has a project's files and, as "want", what the rules find. The comment before the files may have
// a line "ignore RULE RULE".
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want, inputs := t.TempDir(), "", archive.Files[:0:0]
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				inputs = append(inputs, f)
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			var ignore []string
			if names, ok := strings.CutPrefix(string(archive.Comment), "ignore "); ok {
				ignore = strings.Fields(names)
			}
			got := text(find(t, dir, ignore), dir)
			if *update {
				archive.Files = append(inputs, txtar.File{Name: "want", Data: []byte(got)})
				write(t, file, txtar.Format(archive))
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fetcher takes addresses of one host, and has one file for all of them.
type fetcher struct{ dir string }

func (f fetcher) Accepts(address string) bool {
	return strings.HasPrefix(address, "https://remote.test/")
}

func (f fetcher) Fetch(context.Context, string) (root, file string, err error) {
	return f.dir, filepath.Join(f.dir, "remote.yaml"), nil
}

func load(t *testing.T, dir string) *project.Project {
	t.Helper()
	p, _, err := project.Load(t.Context(), project.Options{
		WorkDir: dir, ProjectName: "x", Env: map[string]string{"FROM_ENV": "x"}, Remotes: []project.Fetcher{fetcher{filepath.Join(dir, "remote")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func find(t *testing.T, dir string, ignore []string) []Finding {
	t.Helper()
	findings, err := Check(t.Context(), load(t, dir), Options{Ignore: ignore})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Line == 0 || f.Rule == "" {
			t.Errorf("no place or no rule: %v", f)
		}
	}
	return findings
}

func text(findings []Finding, dir string) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), dir+"/", ""), filepath.Dir(dir)+"/", "/elsewhere/")
}

// TestExamples: each rule finds the bad example and nothing finds fault with the good one.
func TestExamples(t *testing.T) {
	for _, r := range Rules() {
		t.Run(r.Name, func(t *testing.T) {
			if r.Why == "" || r.Summary == "" {
				t.Error("it does not say what it finds, or why")
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "password.txt"), nil)
			write(t, filepath.Join(dir, "web", "Dockerfile"), []byte("FROM busybox:1\n"))
			write(t, filepath.Join(dir, "compose.yaml"), []byte(example(r.Bad)))
			write(t, filepath.Join(dir, "remote", "remote.yaml"), []byte("services: {remote: {image: \"a:1\"}}\n"))
			rules := func() (out []string) {
				for _, f := range find(t, dir, nil) {
					out = append(out, f.Rule)
				}
				return out
			}
			if got := rules(); !slices.Equal(got, []string{r.Name}) {
				t.Errorf("in the bad example: %v", got)
			}
			write(t, filepath.Join(dir, "compose.yaml"), []byte(example(r.Good)))
			if got := rules(); len(got) > 0 {
				t.Errorf("in the good example: %v", got)
			}
		})
	}
}

// example leads addresses to the fetcher.
func example(text string) string {
	return strings.ReplaceAll(text, "https://github.com/", "https://remote.test/")
}

func TestUnknownRule(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte("services: {a: {image: \"a:1\"}}\n"))
	_, err := Check(t.Context(), load(t, dir), Options{Ignore: []string{"Latest-tag"}})
	if err == nil || err.Error() != `there is no rule "Latest-tag"; did you mean "latest-tag"?` {
		t.Errorf("got %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte("services: {a: {image: \"a:1\"}}\n"))
	p := load(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, p, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
