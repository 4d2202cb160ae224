package project

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
)

// Merged is what the Compose files say together: extended, included and merged, with the variables as they are written. It
// need not be a project, because a value with a variable in it may have any type.
type Merged struct {
	root    *tree.Value
	name    string
	sources []*source
}

// LoadMerged finds, reads and merges the files of a project. What they mean is not looked at. Of the switches in the options,
// NoPathResolution counts.
func LoadMerged(ctx context.Context, o Options) (*Merged, []Warning, error) {
	o.NoInterpolate = true
	found, err := findUnless(ctx, o)
	if err != nil {
		return nil, found.warnings, err
	}
	a := newAssembler(ctx, o, found)
	root, name, err := a.assemble()
	if err != nil {
		return nil, a.warnings, err
	}
	root = root.Clone()
	(&pathResolver{dir: found.dir, relative: o.NoPathResolution}).resolve(root, nil)
	return &Merged{root, name, a.sources}, a.warnings, nil
}

// Services are the names of the services, sorted.
func (m *Merged) Services() []string { return keysOf(m.root.Get("services")) }

// MapImages replaces the images of services that have no variables in their names, and the sources of volumes that are images.
func (m *Merged) MapImages(replace func(image string) (string, error)) error {
	m.root = m.root.Clone()
	services := m.root.Get("services")
	for i := range services.Len() {
		s := services.Entries[i].Value
		images := []*tree.Value{s.Get("image")}
		for _, v := range append(list(s.Get("volumes")), list(s.Get("pre_start"))...) {
			if kind := v.Get("type"); kind.Scalar() && kind.Text == "image" {
				images = append(images, v.Get("source"))
			}
			images = append(images, v.Get("image"))
		}
		for _, image := range images {
			if !image.Scalar() || strings.Contains(image.Text, "$") {
				continue
			}
			var err error
			if image.Text, err = replace(image.Text); err != nil {
				return err
			}
		}
	}
	return nil
}

func list(v *tree.Value) []*tree.Value {
	if v == nil {
		return nil
	}
	return slices.Clone(v.Items)
}

// KeepImages leaves of the project only the services' images and volumes that are images.
func (m *Merged) KeepImages() {
	services := tree.NewMap(tree.Place{})
	for _, name := range m.Services() {
		from, to := m.root.Get("services").Get(name), tree.NewMap(tree.Place{})
		if image := from.Get("image"); image != nil {
			to.Set("image", image.Place, image)
		}
		volumes := slices.DeleteFunc(list(from.Get("volumes")), func(v *tree.Value) bool {
			kind := v.Get("type")
			return !kind.Scalar() || kind.Text != "image"
		})
		if len(volumes) > 0 {
			to.Set("volumes", tree.Place{}, &tree.Value{Kind: tree.List, Items: volumes})
		}
		services.Set(name, tree.Place{}, to)
	}
	m.root = tree.NewMap(tree.Place{})
	m.root.Set("services", tree.Place{}, services)
	m.name = ""
}

func (m *Merged) plain() map[string]any {
	plain, ok := model.Plain(m.root).(map[string]any)
	if !ok {
		plain = make(map[string]any)
	}
	delete(plain, "include")
	if m.name != "" {
		plain["name"] = m.name
	}
	return plain
}

// MarshalYAML is the project as text. Keys are sorted.
func (m *Merged) MarshalYAML() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(m.plain()); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// MarshalJSON is the project as indented JSON. Keys are sorted.
func (m *Merged) MarshalJSON() ([]byte, error) { return json.MarshalIndent(m.plain(), "", "  ") }

// Variables are the variables that the files use, sorted by name.
func (m *Merged) Variables() []Variable { return (&Project{sources: m.sources}).Variables() }

// pathsOfFiles are the values that are paths, seen from the directory of their file. "*" is any key or element.
var pathsOfFiles = []string{
	"services.*.build.context", "services.*.build.additional_contexts.*", "services.*.env_file.*.path", "services.*.label_file.*",
	"services.*.extends.file", "services.*.develop.watch.*.path", "services.*.volumes.*.source", "services.*.credential_spec.file",
	"configs.*.file", "secrets.*.file",
}

// pathResolver makes relative paths absolute that have no variables in them, or such that are seen from one directory.
type pathResolver struct {
	dir      string // the project's
	relative bool   // paths stay relative
}

func (r *pathResolver) resolve(v *tree.Value, path []string) {
	if v.Scalar() && v.Place.File != nil && slices.ContainsFunc(pathsOfFiles, func(pattern string) bool { return matches(pattern, path) }) {
		v.Text = r.resolved(v, path[len(path)-1] == "source")
	}
	for _, item := range v.Items {
		r.resolve(item, append(path[:len(path):len(path)], "*"))
	}
	for _, e := range v.Entries {
		r.resolve(e.Value, append(path[:len(path):len(path)], e.Key))
	}
}

func matches(pattern string, path []string) bool {
	steps := strings.Split(pattern, ".")
	if len(steps) != len(path) {
		return false
	}
	for i, step := range steps {
		if step != "*" && step != path[i] {
			return false
		}
	}
	return true
}

// resolved is the path, unless it is no path but an address, a volume's name or something that a variable makes.
func (r *pathResolver) resolved(v *tree.Value, isVolume bool) string {
	dir := v.Place.File.Dir
	switch text := v.Text; {
	case text == "", strings.ContainsAny(text, "$~:"), strings.HasPrefix(text, "github.com/"), filepath.IsAbs(text):
		return text
	case isVolume && !strings.HasPrefix(text, "."), r.relative && dir == r.dir:
		return text
	}
	if rel, err := filepath.Rel(r.dir, dir); err == nil && r.relative && v.Place.File.Root == "" {
		dir = rel
	}
	return filepath.Join(dir, v.Text)
}
