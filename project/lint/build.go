package lint

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/project/lint/dockerfile"
)

var missingBuildFile = Rule{
	Name:    "missing-build-file",
	Summary: "a build whose context or Dockerfile is not there",
	Why:     "the image cannot be built",
	Bad:     "services:\n  web:\n    build: ./wbe\n",
	Good:    "services:\n  web:\n    build: ./web\n",
	check: func(l *linter) {
		for _, name := range l.names {
			if e := l.MissingBuildFile(l.all[name]); e != nil {
				l.add(e)
			}
		}
	},
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// largestDockerfile is how much of a Dockerfile is checked.
const largestDockerfile = 1 << 20

// dockerfiles checks the Dockerfiles of all services that are built here.
func (l *linter) dockerfiles() {
	for _, name := range l.names {
		b := l.all[name].Build
		if b == nil {
			continue
		}
		if b.DockerfileInline != "" {
			l.inline(name, b)
			continue
		}
		file := project.Dockerfile(b)
		if project.RemoteContext(b.Context) || !isFile(file) {
			continue
		}
		text, err := readFile(file)
		if err != nil {
			l.addDockerfile(&project.Error{Position: project.Position{File: file}, Problem: err.Error()}, dockerfile.Warning{Rule: dockerfile.Broken})
			continue
		}
		lines := strings.Split(string(text), "\n")
		l.texts[file] = lines
		for _, w := range l.checkDockerfile(file, text, b) {
			line, snippet := max(w.Line, 1), ""
			if line <= len(lines) {
				snippet = strings.TrimRight(lines[line-1], "\r")
			}
			at := project.Position{File: file, Line: line, Col: 1 + len(snippet) - len(strings.TrimLeft(snippet, " \t"))}
			l.addDockerfile(&project.Error{Position: at, Snippet: snippet, Problem: w.Problem}, w)
		}
	}
}

// readFile reads a file of a bounded size. A pipe or a device is none: reading it may take as long as it likes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > largestDockerfile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is no file of at most %d bytes", largestDockerfile)}
	}
	return os.ReadFile(path)
}

func (l *linter) checkDockerfile(name string, text []byte, b *types.BuildConfig) []dockerfile.Warning {
	args := make(map[string]string, len(b.Args))
	for name, value := range b.Args {
		if value != nil {
			args[name] = *value
		}
	}
	warnings, err := dockerfile.Check(l.ctx, dockerfile.Input{Name: name, Text: text, Args: args, Target: b.Target})
	if err != nil {
		return nil // the context ended, which Check says
	}
	return warnings
}

// inline checks a Dockerfile that stands in a Compose file. Its lines are those of the file if it is written as a block.
func (l *linter) inline(service string, b *types.BuildConfig) {
	path := []string{"services", service, "build", "dockerfile_inline"}
	key := l.Mistake("", "", path...)
	text, _ := l.Text(key.File)
	file, inner := strings.Split(text, "\n"), strings.Split(b.DockerfileInline, "\n")
	for _, w := range l.checkDockerfile("the inline Dockerfile of "+service, []byte(b.DockerfileInline), b) {
		e := *key
		if n := key.Line + w.Line; w.Line > 0 && n <= len(file) && w.Line <= len(inner) && strings.TrimSpace(file[n-1]) == strings.TrimSpace(inner[w.Line-1]) {
			snippet := strings.TrimRight(file[n-1], "\r")
			e.Line, e.Col, e.Snippet = n, 1+len(snippet)-len(strings.TrimLeft(snippet, " ")), snippet
		}
		e.Problem = w.Problem
		l.addDockerfile(&e, w)
	}
}

func (l *linter) addDockerfile(e *project.Error, w dockerfile.Warning) {
	if e.Rule = w.Rule; w.URL != "" {
		e.Fix = "see " + w.URL
	}
	l.findings = append(l.findings, Finding{Error: e, Why: w.Why, Page: w.URL, Silence: comment(w.Rule)})
}
