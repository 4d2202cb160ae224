package project

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"
)

// corpusSize is how many projects there are at least: a test over no files would pass.
const corpusSize = 120

// Each archive in testdata/corpus is a project of the kind that people have: what it shows, its options and its files, and
// as "want" the model that "stack config" prints. The models were compared with the Compose specification by hand; -update
// rewrites them, and who does that compares them again.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < corpusSize {
		t.Errorf("%d projects, there were %d", len(files), corpusSize)
	}
	t.Setenv("HOME", "/home/user")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := readCorpus(t, file)
			model, warnings := c.load(t)
			if *update {
				c.record(t, model, warnings)
				return
			}
			diffLines(t, "the model", model, c.want)
			diffLines(t, "the warnings", warnings, c.warnings)
			if c.once == "" {
				c.reload(t)
			}
		})
	}
}

// loadedAsWritten are ways to load a project without all that loading does.
var loadedAsWritten = map[string]func(*Options){
	"with variables": func(o *Options) { o.NoInterpolate = true },
	"not normalized": func(o *Options) { o.NoNormalize = true },
	"only merged": func(o *Options) {
		o.NoInterpolate, o.NoNormalize, o.NoPathResolution, o.NoEnvResolution = true, true, true, true
	},
}

// What is left as it is written makes no mistake of a good project.
func TestCorpusAsWritten(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", "/home/user")
	for _, file := range files {
		for way, set := range loadedAsWritten {
			name := strings.TrimSuffix(filepath.Base(file), ".txtar")
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				c := readCorpus(t, file)
				set(&c.options)
				c.load(t)
			})
		}
	}
}

// corpusProject is one archive.
type corpusProject struct {
	file           string
	archive        *txtar.Archive
	dir            string // stands for /project in want
	options        Options
	selected       []string
	alone          bool
	once           string // not empty: the printed model cannot be loaded again
	want, warnings string
	altered        map[string][]byte // files that are written otherwise than the archive has them

	loaded *Project
}

func readCorpus(t *testing.T, file string) *corpusProject {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &corpusProject{file: file, archive: archive, dir: filepath.Join(t.TempDir(), "project")}
	c.altered = make(map[string][]byte)
	c.options = Options{WorkDir: c.dir, Env: map[string]string{"HOME": "/home/user"}}
	inputs := archive.Files[:0:0]
	for _, f := range archive.Files {
		switch f.Name {
		case "want":
			c.want = string(f.Data)
		case "want-warnings":
			c.warnings = string(f.Data)
		default:
			inputs = append(inputs, f)
		}
	}
	archive.Files = inputs
	_, options, _ := strings.Cut(string(archive.Comment), "\n")
	for line := range strings.Lines(options) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		c.option(t, key, strings.TrimSpace(value))
	}
	return c
}

// option reads a line of the archive's comment after the first, which describes the project. Most are those of the command
// line; "env: NAME=value" is a variable of the environment.
func (c *corpusProject) option(t *testing.T, key, value string) {
	t.Helper()
	o, words := &c.options, strings.Fields(value)
	switch key {
	case "files":
		o.Files = words
	case "profiles":
		o.Profiles = strings.Split(strings.ReplaceAll(value, " ", ""), ",")
	case "env":
		name, text, _ := strings.Cut(value, "=")
		o.Env[name] = text
	case "env-file":
		o.EnvFiles = words
	case "project-directory":
		o.ProjectDir = value
	case "project-name":
		o.ProjectName = value
	case "workdir":
		o.WorkDir = filepath.Join(c.dir, value)
	case "select":
		c.selected = words
	case "select-alone":
		c.selected, c.alone = words, true
	case "once": // why the printed model cannot be loaded again
		c.once = value
	case "stdin": // a file that is piped in
		o.Stdin = bytes.NewReader(c.input(t, value))
	case "crlf": // a file whose lines end as on Windows
		c.altered[value] = bytes.ReplaceAll(c.input(t, value), []byte("\n"), []byte("\r\n"))
	case "bom": // a file with a byte order mark
		c.altered[value] = append([]byte("\ufeff"), c.input(t, value)...)
	default:
		t.Fatalf("unknown option %q", key)
	}
}

func (c *corpusProject) input(t *testing.T, name string) []byte {
	t.Helper()
	if altered, ok := c.altered[name]; ok {
		return altered
	}
	for _, f := range c.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	t.Fatalf("no file %s", name)
	return nil
}

// load writes the files and loads the project. It returns the model and the warnings as the archive has them.
func (c *corpusProject) load(t *testing.T) (model, warnings string) {
	t.Helper()
	files := make(map[string]string)
	for _, f := range c.archive.Files {
		files[f.Name] = string(f.Data)
		if altered, ok := c.altered[f.Name]; ok {
			files[f.Name] = string(altered)
		}
	}
	if err := writeAll(c.dir, files); err != nil {
		t.Fatal(err)
	}
	loaded, advice, err := Load(t.Context(), c.options)
	if err != nil {
		t.Fatal(err)
	}
	if c.loaded, err = loaded.Select(c.selected, c.alone); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, w := range advice {
		fmt.Fprintln(&lines, w)
	}
	return c.inProject(printed(t, c.loaded)), c.inProject(lines.String())
}

func printed(t *testing.T, p *Project) string {
	t.Helper()
	text, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *corpusProject) inProject(text string) string {
	text = strings.ReplaceAll(text, c.dir, "/project")
	above := filepath.Dir(c.dir)
	text = strings.ReplaceAll(text, above+"/", "/")
	return strings.ReplaceAll(text, above, "/")
}

// record writes the archive with the model as it is now.
func (c *corpusProject) record(t *testing.T, model, warnings string) {
	t.Helper()
	c.archive.Files = append(c.archive.Files, txtar.File{Name: "want", Data: []byte(model)})
	if warnings != "" {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: "want-warnings", Data: []byte(warnings)})
	}
	if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload loads the printed model, which must say the same.
func (c *corpusProject) reload(t *testing.T) {
	t.Helper()
	text := printed(t, c.loaded)
	file := filepath.Join(t.TempDir(), "printed.yaml")
	if err := os.WriteFile(file, literal(t, text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := maps.Clone(c.loaded.Env)
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "COMPOSE_") })
	again, warnings, err := Load(t.Context(), Options{Files: []string{file}, Profiles: []string{"*"}, Env: env})
	if err != nil {
		t.Fatalf("the printed model cannot be loaded: %v", err)
	}
	if len(warnings) > 0 {
		t.Errorf("the printed model has warnings: %v", warnings)
	}
	diffLines(t, "the model of the printed model", c.inProject(printed(t, again)), c.inProject(text))
}

// literal writes every "$" of the YAML's values as "$$", so that no variable is seen in it.
func literal(t *testing.T, text string) []byte {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	escape(&root)
	out, err := yaml.Marshal(&root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func escape(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			escape(child)
		}
	}
}

// diffLines shows where the texts begin to differ.
func diffLines(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	some := func(lines []string) string { return strings.Join(lines[max(0, i-3):min(i+8, len(lines))], "\n") }
	t.Errorf("%s: another line %d; got:\n%s\nwant:\n%s", what, i+1, some(a), some(b))
}
