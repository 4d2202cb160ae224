package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/variables"
)

// envReader reads env files into one environment. Docker Compose reads up to two default ones: the .env of the directory
// where the search begins, which may name the Compose files, and under it that of the project's directory.
type envReader struct {
	vars     variables.Env // what is known so far; it wins over files that are read later
	strict   bool
	warnings []Warning
	errors   Errors
	files    []string // that were read
}

func newEnvReader(env map[string]string, strict bool) *envReader {
	return &envReader{vars: variables.From(env, variables.Environment), strict: strict}
}

// readDefault reads the .env of the directory, if it has one that was not read before.
func (r *envReader) readDefault(dir string) error {
	file := filepath.Join(dir, ".env")
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.warnings = append(r.warnings, Warning{Text: fmt.Sprintf("cannot read %s, which is left out: %v", file, errors.Unwrap(err))})
		return nil
	case err != nil || info.IsDir() || slices.Contains(r.files, file):
		return nil
	}
	return r.readFiles(file)
}

// readFiles reads the files in their order: what a later one says wins over an earlier one, and what is known already over
// all of them.
func (r *envReader) readFiles(files ...string) error {
	into := make(variables.Env)
	for _, file := range files {
		r.files = append(r.files, file)
		content, err := variables.ReadFile(file)
		if err != nil {
			return fmt.Errorf("cannot read the env file: %w", err)
		}
		notices, err := variables.File{Name: file, Content: content, Into: into, Lookup: r.vars.Lookup}.Read()
		r.report(newSource(file, content), notices, err)
	}
	r.vars.Under(into)
	return nil
}

// ReadEnvFile reads a file of variables. What env has may be used in values, wins over what the file says there, and is what
// a name without a value stands for. The error is an Errors if the file has mistakes.
func ReadEnvFile(path string, env map[string]string) (map[string]string, error) {
	content, err := variables.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the env file: %w", err)
	}
	into := make(variables.Env)
	lookup := variables.From(env, variables.Environment).Lookup
	_, err = variables.File{Name: path, Content: content, Into: into, Lookup: lookup}.Read()
	if m, ok := errors.AsType[*variables.Mistake](err); ok {
		return nil, Errors{newSource(path, content).mistaken(m, m.Line, m.Col)}
	}
	return into.Values(), err
}

func (r *envReader) report(s *source, notices []variables.Notice, err error) {
	if m, ok := errors.AsType[*variables.Mistake](err); ok {
		r.errors = append(r.errors, s.mistaken(m, m.Line, m.Col))
	}
	for _, n := range notices {
		if r.strict && n.Rule == variables.RuleUnset {
			r.errors = append(r.errors, s.unset(n, n.Line, n.Col))
			continue
		}
		r.warnings = append(r.warnings, s.warning(n, n.Line, n.Col))
	}
}

// mistaken is the variables' mistake at a place of the file.
func (s *source) mistaken(m *variables.Mistake, line, col int) *Error {
	e := s.at(line, col, m.Problem, m.Fix)
	e.Rule = m.Rule
	return e
}

// unset is the notice of a variable that is not set as a mistake, which it is when Options.Strict is set.
func (s *source) unset(n variables.Notice, line, col int) *Error {
	fix := n.Fix
	if fix == "" {
		fix = fmt.Sprintf("set it in the environment or in .env, or write ${%s:-default}", n.Name)
	}
	e := s.at(line, col, "the variable "+n.Name+" is not set", fix)
	e.Rule = n.Rule
	return e
}

func (s *source) warning(n variables.Notice, line, col int) Warning {
	text := n.Text
	if n.Fix != "" {
		text += "; " + n.Fix
	}
	return Warning{Position{s.file, line, col}, text, n.Rule}
}

// namedEnvFiles are the files of --env-file or COMPOSE_ENV_FILES, absolute.
func namedEnvFiles(o Options, workDir string) []string {
	named := o.EnvFiles
	if len(named) == 0 {
		named = strings.FieldsFunc(o.Env["COMPOSE_ENV_FILES"], func(c rune) bool { return c == ',' })
	}
	out := make([]string, len(named))
	for i, file := range named {
		out[i] = absolute(inHome(strings.TrimSpace(file), o.Env["HOME"]), workDir)
	}
	return out
}

// inHome replaces the "~" that a path begins with.
func inHome(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && home != "" && (rest == "" || rest[0] == '/') {
		return home + rest
	}
	return path
}

// defaultEnvFile says whether the default .env is read.
func defaultEnvFile(env map[string]string) (bool, error) {
	value, set := env["COMPOSE_DISABLE_ENV_FILE"]
	if !set || value == "" {
		return true, nil
	}
	off, err := strconv.ParseBool(value)
	if err != nil {
		return false, Errors{{Problem: fmt.Sprintf("COMPOSE_DISABLE_ENV_FILE=%s is neither true nor false", value), Rule: variables.RuleEnvFile}}
	}
	return !off, nil
}

// setName lets the files use the project's name as COMPOSE_PROJECT_NAME, wherever it comes from.
func (f *found) setName(name string, sources []*source) {
	named := variables.Var{Value: name, Origin: f.vars[nameVariable].Origin}
	f.vars[nameVariable], f.env[nameVariable] = named, name
	for _, s := range sources {
		s.vars[nameVariable] = named
	}
}
