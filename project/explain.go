package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/explain"
	"stackrun.dev/stack/project/internal/tree"
)

// Explanation says of one value of the model where it comes from.
type Explanation = explain.Explanation

// ExplanationSource is a value as a file has it: part of an Explanation.
type ExplanationSource = explain.Source

// Explain explains the values at the paths and below. A path is "services.web.image", "services.web.ports[0].target" or
// "services.*.image"; keys may have dots. A path that leads nowhere is an Errors.
func (p *Project) Explain(paths ...string) ([]Explanation, error) {
	text, err := p.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("cannot explain the project: %w", err)
	}
	var model any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // so that numbers are shown as they are
	if err := d.Decode(&model); err != nil {
		return nil, fmt.Errorf("cannot explain the project: %w", err)
	}
	nameKeys(model)
	list, nothing := explain.Explain(p.root, model, p.vars.Lookup, paths)
	var errs Errors
	for _, path := range nothing {
		errs = append(errs, &Error{Problem: "the project has nothing at " + path, Fix: meant(p.root, path)})
	}
	return list, errs.Sorted()
}

// nameKeys makes of the builds' lists of SSH keys mappings, as the tree has them.
func nameKeys(model any) {
	root, _ := model.(map[string]any)
	services, _ := root["services"].(map[string]any)
	for _, service := range services {
		service, _ := service.(map[string]any)
		build, _ := service["build"].(map[string]any)
		list, _ := build["ssh"].([]any)
		keys := make(map[string]any, len(list))
		for _, item := range list {
			text, _ := item.(string)
			name, path, _ := strings.Cut(text, "=")
			keys[name] = path
		}
		if len(keys) > 0 {
			build["ssh"] = keys
		}
	}
}

// meant suggests the key that may have been meant where the path leaves the tree.
func meant(v *tree.Value, path string) string {
	steps := strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(`.[]"`, r) })
	for _, step := range steps {
		var next *tree.Value
		if e, n := v.Find(step); n == 1 {
			next = e.Value
		} else if step == "*" && v != nil && len(v.Entries) > 0 {
			next = v.Entries[0].Value
		}
		if next == nil {
			return suggest(step, keysOf(v))
		}
		v = next
	}
	return ""
}

func keysOf(v *tree.Value) []string {
	if v == nil {
		return nil
	}
	keys := make([]string, len(v.Entries))
	for i, e := range v.Entries {
		keys[i] = e.Key
	}
	slices.Sort(keys)
	return keys
}
