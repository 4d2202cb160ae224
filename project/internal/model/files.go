package model

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"

	"github.com/compose-spec/compose-go/v2/types"
)

// content is a file as it was read.
type content struct {
	data []byte
	err  error
}

// told is a place of an env file about which something was said.
type told struct {
	file      string
	line, col int
}

// serviceFiles completes the environment and the labels of a service and of its hooks.
func (b *builder) serviceFiles(s *types.ServiceConfig, v *tree.Value) {
	if b.NoEnvResolution {
		return
	}
	b.containerFiles(&s.ContainerSpec, v)
	if len(s.PreStart) == 0 {
		return
	}
	for i, hook := range hooks(v) {
		b.containerFiles(&s.PreStart[i].ContainerSpec, hook)
	}
}

func (b *builder) containerFiles(c *types.ContainerSpec, v *tree.Value) {
	if len(c.EnvFiles) > 0 {
		b.envFiles(c, v.Get("env_file"))
	}
	if len(c.LabelFiles) > 0 {
		b.labelFiles(c, v.Get("label_file"))
	}
}

// envFiles adds what the files say and environment does not. In a file, a variable is first looked up in the project's
// variables, then in environment, then in what the file and those before it say.
func (b *builder) envFiles(c *types.ContainerSpec, files *tree.Value) {
	all := make(variables.Env, len(c.Environment))
	for name, value := range c.Environment {
		if value != nil {
			all[name] = variables.Var{Value: *value}
		}
	}
	for i, f := range c.EnvFiles {
		v := files.Items[i].Get("path")
		data, err := b.read(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !bool(f.Required):
		case err != nil:
			b.unreadable(v, "env file", f.Path, err, "create it, or write required: false beside its path")
		default:
			file := variables.File{Name: f.Path, Content: data, Into: all, Lookup: b.lookupFor(c.Environment, v)}
			b.parse(v, files.Items[i].Get("format"), f.Format, file)
		}
	}
	if c.Environment == nil {
		c.Environment = make(types.MappingWithEquals, len(all))
	}
	for name, v := range all {
		if _, ok := c.Environment[name]; !ok {
			c.Environment[name] = &v.Value
		}
	}
}

// lookupFor finds what wins over a file's own variables in its values.
func (b *builder) lookupFor(environment types.MappingWithEquals, v *tree.Value) variables.Lookup {
	return func(name string) (variables.Var, bool) {
		if value, ok := b.lookup(placeOf(v), name); ok {
			return variables.Var{Value: value}, true
		}
		if value := environment[name]; value != nil {
			return variables.Var{Value: *value}, true
		}
		return variables.Var{}, false
	}
}

// labelFiles adds what the files say and labels does not. In a file, a variable is a label of the files before it, or of
// this one.
func (b *builder) labelFiles(c *types.ContainerSpec, files *tree.Value) {
	all := make(variables.Env)
	for i, path := range c.LabelFiles {
		v := files.Items[i]
		data, err := b.read(path)
		if err != nil {
			b.unreadable(v, "label file", path, err, "create it")
			continue
		}
		own := make(variables.Env)
		b.parse(v, nil, "", variables.File{Name: path, Content: data, Into: own, Lookup: all.Lookup})
		own.Under(all)
		all = own
	}
	if len(all) > 0 && c.Labels == nil {
		c.Labels = make(types.Labels, len(all))
	}
	for key, v := range all {
		if _, ok := c.Labels[key]; !ok {
			c.Labels[key] = v.Value
		}
	}
}

// read reads a file once, however many services name it.
func (b *builder) read(path string) ([]byte, error) {
	if path = b.expand(path); !filepath.IsAbs(path) {
		path = filepath.Join(b.Dir, path)
	}
	c := b.files[path]
	if c == nil {
		c = new(content)
		c.data, c.err = variables.ReadFile(path)
		b.files[path] = c
	}
	return c.data, c.err
}

func (b *builder) unreadable(v *tree.Value, what, path string, err error, fix string) {
	if b.NoInterpolate && strings.Contains(path, "$") {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		b.mistake(placeOf(v), variables.RuleEnvFile, fix, "%s %s does not exist", what, path)
		return
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	b.mistake(placeOf(v), variables.RuleEnvFile, "", "cannot read the %s %s: %v", what, path, err)
}

// parse reads a file that the value names.
func (b *builder) parse(v, formatAt *tree.Value, format string, f variables.File) {
	if b.room < 0 {
		return
	}
	var notices []variables.Notice
	var err error
	before := bytesOf(f.Into)
	switch format {
	case "":
		notices, err = f.Read()
	case "raw":
		err = f.ReadRaw()
	default:
		b.mistake(placeOf(formatAt), variables.RuleEnvFile, "write raw, or leave it out", "the format %q of env files is not known", format)
	}
	if b.room -= bytesOf(f.Into) - before; b.room < 0 {
		b.mistake(placeOf(v), variables.RuleLimit, "a variable that repeats others grows with each of them",
			"what env files and label files say, counted for each service, is more than %d MiB, the most that is read", maxFileBytes>>20)
	}
	if len(notices) == 0 && err == nil {
		return
	}
	file := &tree.File{Name: f.Name, Via: &tree.Reference{Place: placeOf(v), Kind: "read"}}
	if m, ok := errors.AsType[*variables.Mistake](err); ok && b.first(f.Name, m.Line, m.Col) {
		at := tree.Place{File: file, Line: m.Line, Col: m.Col}
		b.errors = append(b.errors, Error{Place: at, Quote: lineOf(f.Content, m.Line), Problem: m.Problem, Fix: m.Fix, Rule: m.Rule})
	}
	for _, n := range notices {
		if b.Notice != nil && b.first(f.Name, n.Line, n.Col) {
			b.Notice(Notice{n, tree.Place{File: file, Line: n.Line, Col: n.Col}, lineOf(f.Content, n.Line)})
		}
	}
}

// maxFileBytes is how much the env files and label files of all services may come to: variables make them longer, and each
// service that names a file has all of it.
const maxFileBytes = 128 << 20

func bytesOf(e variables.Env) int {
	n := 0
	for name, v := range e {
		n += len(name) + len(v.Value)
	}
	return n
}

// first says whether nothing was said about the place of an env file yet, which many services may name.
func (b *builder) first(file string, line, col int) bool {
	at := told{file, line, col}
	if b.told[at] {
		return false
	}
	b.told[at] = true
	return true
}

func lineOf(data []byte, number int) string {
	for line := range bytes.Lines(data) {
		if number--; number == 0 {
			return strings.TrimRight(string(line), "\r\n")
		}
	}
	return ""
}

// mistake reports a problem at a place of a Compose file.
func (b *builder) mistake(at tree.Place, rule, fix, format string, args ...any) {
	b.errors = append(b.errors, Error{Place: at, Rule: rule, Problem: fmt.Sprintf(format, args...), Fix: fix})
}
