package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/variables"
)

// The names that are looked for, those that Docker Compose prefers first.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// ErrNoFile is what Load's error is when there is no Compose file at all.
var ErrNoFile = errors.New("no compose file")

// found is the outcome of the first phase.
type found struct {
	files    []string // absolute, "-", or an address that is one of Options.Remotes
	dir      string   // the project's directory, absolute
	home     string   // what the project is called after: dir, or of a remote project the caller's directory
	vars     variables.Env
	env      map[string]string // the same without the origins
	content  map[string][]byte // of "-" only
	envFiles []string          // that were read, in their order
	warnings []Warning
}

// find goes the way of Docker Compose: an env file may say which the Compose files are, and their directory may have
// another env file. The warnings are there also when there is an error.
func find(o Options) (*found, error) {
	workDir, err := filepath.Abs(o.WorkDir)
	if err != nil {
		return &found{}, fmt.Errorf("cannot find the working directory: %w", err)
	}
	f := &found{content: map[string][]byte{}}
	env := newEnvReader(o.Env, o.Strict)
	if _, set := env.vars["PWD"]; !set {
		env.vars["PWD"] = variables.Var{Value: workDir, Origin: variables.Environment}
	}
	err = f.findWith(o, env, workDir)
	f.vars, f.env, f.warnings = env.vars, env.vars.Values(), append(env.warnings, f.warnings...)
	f.envFiles = env.files
	return f, err
}

func (f *found) findWith(o Options, env *envReader, workDir string) error {
	readDefault, err := f.readFirstEnv(o, env, workDir)
	if err == nil {
		err = f.findFiles(o, env.vars, workDir)
	}
	if err != nil {
		return err
	}
	f.dir = f.projectDir(o, workDir)
	f.home = f.dir
	if readDefault {
		if err := env.readDefault(f.dir); err != nil {
			return err
		}
	}
	if err := env.errors.Sorted(); err != nil {
		return err
	}
	if len(f.files) == 0 {
		return fmt.Errorf("%w in %s or its parents (%s)", ErrNoFile, workDir, strings.Join(fileNames, ", "))
	}
	return f.readStdin(o.Stdin)
}

// readFirstEnv reads what may say which the Compose files are, and returns whether default env files are read.
func (f *found) readFirstEnv(o Options, env *envReader, workDir string) (readDefault bool, err error) {
	if named := namedEnvFiles(o, workDir); len(named) > 0 {
		return false, env.readFiles(named...)
	}
	readDefault, err = defaultEnvFile(o.Env)
	if err != nil || !readDefault {
		return false, err
	}
	f.files = f.given(o, workDir)
	return true, env.readDefault(f.projectDir(o, workDir))
}

// given are the files of -f.
func (f *found) given(o Options, workDir string) []string {
	out := make([]string, len(o.Files))
	for i, file := range o.Files {
		out[i] = o.locate(file, workDir)
	}
	return out
}

// locate makes the path absolute as seen from dir. "-" and addresses stay.
func (o Options) locate(path, dir string) string {
	if o.elsewhere(path) {
		return path
	}
	return absolute(path, dir)
}

// elsewhere says whether it is no path of this machine. It may be an address that nobody can fetch.
func (o Options) elsewhere(path string) bool {
	return isAddress(path) || slices.ContainsFunc(o.Remotes, func(r Fetcher) bool { return r.Accepts(path) })
}

func (f *found) findFiles(o Options, vars variables.Env, workDir string) error {
	f.files = f.given(o, workDir)
	if list := vars["COMPOSE_FILE"]; len(f.files) == 0 && list.Value != "" {
		return f.useComposeFile(o, list, vars["COMPOSE_PATH_SEPARATOR"].Value, workDir)
	}
	if len(f.files) == 0 {
		f.search(f.projectDir(o, workDir))
	}
	return nil
}

func (f *found) useComposeFile(o Options, list variables.Var, separator, workDir string) error {
	if separator == "" {
		separator = string(os.PathListSeparator)
	}
	for entry := range strings.SplitSeq(list.Value, separator) {
		if entry == "" {
			continue
		}
		file := o.locate(entry, workDir)
		if file != "-" && !o.elsewhere(file) {
			if _, err := os.Stat(file); err != nil {
				return fmt.Errorf("cannot read the compose file that COMPOSE_FILE names (%s): %w", list.Origin, err)
			}
		}
		f.files = append(f.files, file)
	}
	return nil
}

// search goes up from dir until a directory has a file with one of the default names.
func (f *found) search(dir string) {
	for {
		main := existing(dir, fileNames)
		if len(main) > 0 {
			overrides := existing(dir, overrideNames)
			f.files = append(f.files, main[0])
			f.files = append(f.files, overrides[:min(1, len(overrides))]...)
			f.warnings = append(f.warnings, append(ambiguous(main), ambiguous(overrides)...)...)
			return
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return
		}
		dir = parent
	}
}

func ambiguous(files []string) []Warning {
	if len(files) < 2 {
		return nil
	}
	return []Warning{{Rule: "ambiguous-file", Text: fmt.Sprintf("several compose files found (%s); using %s", strings.Join(files, ", "), files[0])}}
}

func existing(dir string, names []string) []string {
	var out []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			out = append(out, path)
		}
	}
	return out
}

// projectDir is --project-directory, or where the first local file is.
func (f *found) projectDir(o Options, workDir string) string {
	if o.ProjectDir != "" {
		return absolute(o.ProjectDir, workDir)
	}
	i := slices.IndexFunc(f.files, func(file string) bool { return file != "-" })
	if i < 0 || o.elsewhere(f.files[i]) {
		return workDir
	}
	return filepath.Dir(f.files[i])
}

func (f *found) readStdin(in io.Reader) error {
	for _, file := range f.files {
		if file != "-" || f.content["-"] != nil {
			continue
		}
		if in == nil {
			return errors.New("cannot read the compose file from standard input: there is none")
		}
		content, err := readBounded(in)
		if err != nil {
			return fmt.Errorf("cannot read the compose file from standard input: %w", err)
		}
		f.content["-"] = content
	}
	return nil
}

// shownFiles are the files as others may see them.
func (f *found) shownFiles() []string {
	out := make([]string, len(f.files))
	for i, file := range f.files {
		out[i] = WithoutPassword(file)
	}
	return out
}

// absolute makes the path absolute as seen from dir. "-" stays.
func absolute(path, dir string) string {
	if path == "-" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
