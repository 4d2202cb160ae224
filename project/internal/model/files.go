package model

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

// content is a file as it was read.
type content struct {
	data []byte
	err  error
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
	for i, hook := range b.hooks(v) {
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
	all := map[string]string(c.Environment.ToMapping())
	for i, f := range c.EnvFiles {
		v := files.Items[i].Get("path")
		data, err := b.read(v, f.Path)
		if errors.Is(err, fs.ErrNotExist) && !bool(f.Required) {
			continue
		}
		if err != nil {
			b.unreadable(v, "env file", f.Path, err, "create it, or write required: false beside its path")
			continue
		}
		err = parseEnv(f, data, all, func(name string) (string, bool) {
			if value, ok := b.lookup(placeOf(v), name); ok {
				return value, true
			}
			if value := c.Environment[name]; value != nil {
				return *value, true
			}
			return "", false
		})
		if err != nil {
			b.mistake(placeOf(v), "", "%s: %v", f.Path, err)
		}
	}
	c.Environment = types.Mapping(all).ToMappingWithEquals().OverrideBy(c.Environment)
}

// labelFiles adds what the files say and labels does not. In a file, a variable is a label of the files before it, or of
// this one.
func (b *builder) labelFiles(c *types.ContainerSpec, files *tree.Value) {
	all := make(map[string]string)
	for i, path := range c.LabelFiles {
		v := files.Items[i]
		data, err := b.read(v, path)
		if err != nil {
			b.unreadable(v, "label file", path, err, "create it")
			continue
		}
		own := make(map[string]string)
		earlier := func(name string) (string, bool) { value, ok := all[name]; return value, ok }
		if err := parseEnv(types.EnvFile{Path: path}, data, own, earlier); err != nil {
			b.mistake(placeOf(v), "", "%s: %v", path, err)
		}
		maps.Copy(all, own)
	}
	maps.Copy(all, c.Labels)
	if len(all) > 0 {
		c.Labels = all
	}
}

// read reads a file once, however many services name it.
func (b *builder) read(v *tree.Value, path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.dir(placeOf(v)), path)
	}
	c := b.files[path]
	if c == nil {
		c = new(content)
		c.data, c.err = os.ReadFile(path)
		b.files[path] = c
	}
	return c.data, c.err
}

func (b *builder) unreadable(v *tree.Value, what, path string, err error, fix string) {
	if errors.Is(err, fs.ErrNotExist) {
		b.mistake(placeOf(v), fix, "%s %s does not exist", what, path)
		return
	}
	b.mistake(placeOf(v), "", "cannot read the %s %s: %v", what, path, err)
}

// parseEnv adds what a file says to the variables.
func parseEnv(f types.EnvFile, data []byte, all map[string]string, lookup func(string) (string, bool)) error {
	switch f.Format {
	case "":
		return dotenv.ParseWithFormat(bytes.NewReader(data), f.Path, all, lookup, f.Format)
	case "raw":
		return parseRaw(string(data), all, lookup)
	}
	return fmt.Errorf("the format %q is not known: leave it out, or write raw", f.Format)
}

// parseRaw reads NAME=value lines whose values are taken as they are.
func parseRaw(text string, all map[string]string, lookup func(string) (string, bool)) error {
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		number++
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		switch {
		case name == "" || strings.ContainsAny(name, " \t"):
			return fmt.Errorf("line %d: %q is not a name", number, name)
		case ok:
			all[name] = value
		default:
			if value, ok := lookup(name); ok {
				all[name] = value
			}
		}
	}
	return nil
}
