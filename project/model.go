package project

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

const invalidName = "invalid-name"

// name is the project's name by precedence: -p, COMPOSE_PROJECT_NAME, the last file that states one, the directory's.
func (a *assembler) name(readings []*reading) (string, error) {
	if name := a.options.ProjectName; name != "" {
		return name, nameError("the project name "+name, name)
	}
	if name := a.found.env[nameVariable]; name != "" {
		return name, nameError("COMPOSE_PROJECT_NAME="+name, name)
	}
	for _, r := range slices.Backward(readings) {
		for _, s := range slices.Backward(r.sources) {
			e, n := s.find([]string{"name"})
			if n == 0 {
				continue
			}
			name := s.text(e.value)
			if err := checkName(name); err != nil {
				return "", Errors{s.ruled(invalidName, e.value.Line, e.value.Column, fmt.Sprintf("the project name %q %v", name, err), "")}
			}
			return name, nil
		}
	}
	name := nameOfDir(a.found.home)
	if name == "" {
		return "", fmt.Errorf("cannot derive a project name from the directory %s: give one with -p or name:", a.found.home)
	}
	return name, nil
}

// nameOfDir is the directory's name without what a project's name cannot have.
func nameOfDir(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(dir)))
	return strings.TrimLeft(name, "_-")
}

func nameError(what, name string) error {
	if err := checkName(name); err != nil {
		return Errors{{Rule: invalidName, Problem: what + " " + err.Error()}}
	}
	return nil
}

// build is phase 6: it makes the model of the tree.
func (p *Project) build() ([]Warning, error) {
	o, notices := p.modelOptions()
	m, mistakes := model.Build(p.root, o)
	warnings, err := p.modelErrors(mistakes, *notices)
	if err != nil {
		return warnings, err
	}
	m.ComposeFiles = p.Files
	p.Project = m
	return warnings, nil
}

// readFiles reads the env files of services that were off before and are on now.
func (p *Project) readFiles(before *Project) error {
	var on []string
	for _, name := range p.ServiceNames() {
		if _, was := before.Services[name]; !was {
			on = append(on, name)
		}
	}
	o, _ := p.modelOptions()
	_, err := p.modelErrors(model.ReadFiles(p.Project, p.root, o, on...), nil)
	return err
}

func (p *Project) modelOptions() (model.Options, *[]model.Notice) {
	notices := new([]model.Notice)
	return model.Options{
		Name: p.name, Dir: p.Dir, Env: p.Env, Profiles: p.profiles,
		NoInterpolate: p.options.NoInterpolate, NoNormalize: p.options.NoNormalize,
		NoPathResolution: p.options.NoPathResolution, NoEnvResolution: p.options.NoEnvResolution,
		Notice: func(n model.Notice) { *notices = append(*notices, n) },
	}, notices
}

// modelErrors gives the mistakes and notices of phase 6 their lines.
func (p *Project) modelErrors(mistakes []model.Error, notices []model.Notice) ([]Warning, error) {
	var errs Errors
	var warnings []Warning
	for _, m := range mistakes {
		errs = append(errs, p.quoted(m.Place, m.Quote, m.Problem, m.Fix, m.Rule))
	}
	for _, n := range notices {
		if p.options.Strict && n.Rule == variables.RuleUnset {
			errs = append(errs, p.quoted(n.Place, n.Quote, n.Text, n.Fix, n.Rule))
			continue
		}
		at := Position{n.Place.File.Name, n.Place.Line, n.Place.Col}
		warnings = append(warnings, (&source{file: at.File}).warning(n.Notice, at.Line, at.Col))
	}
	return warnings, errs.Sorted()
}

// quoted is an Error whose line may be known already, because it is not in a Compose file.
func (p *Project) quoted(at tree.Place, line, problem, fix, rule string) *Error {
	e := mistakeAt(p.sources, at, cmp.Or(rule, "invalid-value"), problem, fix)
	if line != "" && at.File != nil {
		s := &source{file: at.File.Name, of: at.File}
		e.Position, e.Snippet, e.Via = Position{s.file, at.Line, at.Col}, line, s.via()
	}
	return e
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
