package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The names that are looked for, the preferred ones first.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
	overrideNames = []string{"compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"}
)

// ErrNoFile is what Load's error is when there is no Compose file at all.
var ErrNoFile = errors.New("no compose file")

// found is the outcome of the first phase.
type found struct {
	files   []string // absolute, or "-"
	dir     string   // the project's directory, absolute
	env     map[string]string
	content map[string][]byte // of "-" only
}

func find(o Options) (*found, []Warning, error) {
	workDir, err := filepath.Abs(o.WorkDir)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot find the working directory: %w", err)
	}
	f := &found{content: map[string][]byte{}}
	warnings, err := f.findFiles(o, workDir)
	if err != nil {
		return nil, nil, err
	}
	f.dir = f.projectDir(o, workDir)
	if err := f.readEnv(o, workDir); err != nil {
		return nil, nil, err
	}
	if len(f.files) == 0 {
		// COMPOSE_FILE may also stand in .env
		f.useComposeFile(f.env["COMPOSE_FILE"], f.env["COMPOSE_PATH_SEPARATOR"], f.dir)
	}
	if len(f.files) == 0 {
		return nil, nil, fmt.Errorf("%w in %s or its parents (%s)", ErrNoFile, workDir, strings.Join(fileNames, ", "))
	}
	return f, warnings, f.readStdin(o.Stdin)
}

func (f *found) findFiles(o Options, workDir string) ([]Warning, error) {
	switch {
	case len(o.Files) > 0:
		for _, file := range o.Files {
			f.files = append(f.files, absolute(file, workDir))
		}
		return nil, nil
	case o.Env["COMPOSE_FILE"] != "":
		f.useComposeFile(o.Env["COMPOSE_FILE"], o.Env["COMPOSE_PATH_SEPARATOR"], workDir)
		return nil, nil
	case dotEnvNamesFiles(o, workDir):
		return nil, nil
	}
	start := workDir
	if o.ProjectDir != "" {
		start = absolute(o.ProjectDir, workDir)
	}
	return f.search(start)
}

// dotEnvNamesFiles looks whether the .env of the directory itself sets COMPOSE_FILE, which wins over default names.
func dotEnvNamesFiles(o Options, workDir string) bool {
	env, err := readEnvFiles(o, workDir, absolute(o.ProjectDir, workDir))
	return err == nil && env["COMPOSE_FILE"] != ""
}

func (f *found) useComposeFile(value, separator, dir string) {
	if value == "" {
		return
	}
	if separator == "" {
		separator = string(os.PathListSeparator)
	}
	for file := range strings.SplitSeq(value, separator) {
		f.files = append(f.files, absolute(file, dir))
	}
}

// search goes up from dir until a directory has a file with one of the default names.
func (f *found) search(dir string) ([]Warning, error) {
	for {
		main := existing(dir, fileNames)
		if len(main) > 0 {
			overrides := existing(dir, overrideNames)
			f.files = append(f.files, main[0])
			f.files = append(f.files, overrides[:min(1, len(overrides))]...)
			return append(ambiguous(main), ambiguous(overrides)...), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, nil
		}
		dir = parent
	}
}

func ambiguous(files []string) []Warning {
	if len(files) < 2 {
		return nil
	}
	return []Warning{{Text: fmt.Sprintf("several compose files found (%s); using %s", strings.Join(files, ", "), files[0])}}
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

func (f *found) projectDir(o Options, workDir string) string {
	if o.ProjectDir != "" {
		return absolute(o.ProjectDir, workDir)
	}
	for _, file := range f.files {
		if file != "-" {
			return filepath.Dir(file)
		}
	}
	return workDir
}

func (f *found) readStdin(in io.Reader) error {
	for _, file := range f.files {
		if file != "-" || f.content["-"] != nil {
			continue
		}
		if in == nil {
			return errors.New("cannot read the compose file from standard input: there is none")
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("cannot read the compose file from standard input: %w", err)
		}
		f.content["-"] = content
	}
	return nil
}

// absolute makes the path absolute as seen from dir. "-" stays.
func absolute(path, dir string) string {
	if path == "-" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
