package project

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// projectName is the name by precedence: -p, COMPOSE_PROJECT_NAME, the last file that states one, the directory's.
func projectName(o Options, f *found, sources []*source) (string, error) {
	if o.ProjectName != "" {
		return o.ProjectName, nameError("the project name "+o.ProjectName, o.ProjectName)
	}
	if name := f.env[nameVariable]; name != "" {
		return name, nameError("COMPOSE_PROJECT_NAME="+name, name)
	}
	for _, s := range slices.Backward(sources) {
		e, n := s.find([]string{"name"})
		if n == 0 || !slices.Contains(f.files, s.file) {
			continue
		}
		name := s.text(e.value)
		if err := checkName(name); err != nil {
			return "", Errors{s.atNode(e.value, fmt.Sprintf("the project name %q %v", name, err), "")}
		}
		return name, nil
	}
	name := loader.NormalizeProjectName(filepath.Base(f.dir))
	if name == "" {
		return "", fmt.Errorf("cannot derive a project name from the directory %s: give one with -p or name:", f.dir)
	}
	return name, nil
}

func nameError(what, name string) error {
	if err := checkName(name); err != nil {
		return Errors{{Problem: what + " " + err.Error()}}
	}
	return nil
}

// merge has compose-go make one model of the files. What it reports has passed our own checks, so that its messages are
// seldom seen; the place is taken from the path that they mention.
func merge(ctx context.Context, o Options, f *found, sources []*source, name string) (*Project, error) {
	p := &Project{Files: f.files, Dir: f.dir, Env: f.env, vars: f.vars, sources: sources}
	m := &merger{files: f.files, sources: sources, name: name, profiles: profiles(o, f.env), details: types.ConfigDetails{WorkingDir: f.dir}}
	m.details.Environment = make(types.Mapping, len(f.env)+1)
	for k, v := range f.env {
		m.details.Environment[k] = v
	}
	m.details.Environment["COMPOSE_PROJECT_NAME"] = name
	model, err := m.merge(ctx)
	if err != nil {
		return nil, p.fromLoader(err)
	}
	model.ComposeFiles = f.files
	p.Project = model
	return p, nil
}

func contentOf(sources []*source, file string) []byte {
	for _, s := range sources {
		if s.file == file {
			return s.content
		}
	}
	return nil
}

// substituteQuietly replaces variables; the warnings about unset ones were given in phase 3.
func substituteQuietly(text string, lookup template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
}

func profiles(o Options, env map[string]string) []string {
	if len(o.Profiles) > 0 {
		return o.Profiles
	}
	var out []string
	for p := range strings.SplitSeq(env["COMPOSE_PROFILES"], ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

var modelPath = regexp.MustCompile(`(?:services|networks|volumes|secrets|configs|include)(?:\.[\w-]+|\[\d+\])+`)

var extending = regexp.MustCompile(`cannot extend service "([^"]+)"`)

// fromLoader gives compose-go's error the place that its text mentions, or that of the file it names.
func (p *Project) fromLoader(err error) error {
	text := strings.TrimSpace(err.Error())
	if match := modelPath.FindString(text); match != "" {
		path := strings.FieldsFunc(match, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
		return Errors{p.Mistake(text, "", path...)}
	}
	if match := extending.FindStringSubmatch(text); match != nil {
		return Errors{p.Mistake(text, "", "services", match[1], "extends")}
	}
	if e := p.missingFile(text); e != nil {
		return Errors{e}
	}
	return Errors{{Problem: text}}
}

// missingFile looks for an env_file, label_file or extends.file whose name the error mentions.
func (p *Project) missingFile(text string) *Error {
	for _, s := range p.sources {
		for _, n := range scalars(s.root) {
			name := n.Value
			if len(name) > 1 && (strings.Contains(text, filepath.Join(filepath.Dir(s.file), name)) || strings.Contains(text, filepath.Join(p.Dir, name))) {
				return s.atNode(n, text, "")
			}
		}
	}
	return nil
}
