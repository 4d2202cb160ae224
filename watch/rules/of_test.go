package rules

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"stackrun.dev/stack/project"
)

var update = flag.Bool("update", false, "rewrite the rules in testdata")

// Each archive in testdata/rules has the files of projects, those of one after those of the other, and after each as "rules" what
// their rules are, with warnings and errors. In a file that begins with "-> " stands where a symbolic link leads. The comment says
// what is shown; a line "services a b" in it names the services that are asked about.
func TestRules(t *testing.T) {
	archives, err := filepath.Glob("testdata/rules/*.txtar")
	must(t, err)
	if len(archives) == 0 {
		t.Fatal("no test data")
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { checkRules(t, path) })
	}
}

func checkRules(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	must(t, err)
	files := make(map[string]string)
	for i, f := range archive.Files {
		if f.Name != "rules" {
			files[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
			if !strings.HasPrefix(files[f.Name], "-> ") {
				files[f.Name] = string(f.Data)
			}
			continue
		}
		got := rulesOf(t, files, string(archive.Comment))
		if got != string(f.Data) && !*update {
			t.Errorf("got:\n%s\nwant:\n%s", got, f.Data)
		}
		archive.Files[i].Data = []byte(got)
		clear(files)
	}
	if *update {
		must(t, os.WriteFile(path, txtar.Format(archive), 0o600))
	}
}

func rulesOf(t *testing.T, files map[string]string, comment string) string {
	o := all
	for line := range strings.Lines(comment) {
		if names, ok := strings.CutPrefix(line, "services "); ok {
			o.Services = strings.Fields(names)
		}
	}
	p := load(t, files)
	rules, warnings, err := Of(p, o)
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(describeRule(r) + "\n")
	}
	for _, w := range warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	if err != nil {
		b.WriteString("error: " + err.Error() + "\n")
		if _, ok := errors.AsType[project.Errors](err); !ok {
			b.WriteString("which is not the user's fault\n")
		}
	}
	text := strings.ReplaceAll(b.String(), p.Dir+"/", "")
	return strings.ReplaceAll(text, p.Dir, ".")
}

// describeRule has a line for each thing that the rule says.
func describeRule(r *Rule) string {
	text := fmt.Sprintf("%s: %s %s", r.Service, r.Action, r.Path)
	for _, part := range []struct {
		is    bool
		name  string
		value any
	}{
		{r.Target != "", "target", r.Target}, {r.Compare, "compare", r.Compare}, {r.Signal != "", "signal", r.Signal},
		{len(r.Exec.Command) > 0, "exec", []string(r.Exec.Command)}, {r.Exec.User != "", "user", r.Exec.User},
		{r.Exec.WorkingDir != "", "working_dir", r.Exec.WorkingDir}, {r.Exec.Privileged, "privileged", true},
		{len(r.Exec.Environment) > 0, "environment", strings.Join(r.Exec.Environment.ToMapping().Values(), " ")},
		{len(r.Include) > 0, "include", r.Include}, {len(r.Ignore) > 0, "ignore", r.Ignore},
		{len(r.mounted) > 0, "but what is mounted at", r.mounted}, {len(r.leftOut) > 0, "but what is not built from", r.context},
	} {
		if part.is {
			text += fmt.Sprintf("\n    %s: %v", part.name, part.value)
		}
	}
	return text + "\n    of " + r.Place.String()
}
