// Package explain tells of the values of a loaded project where they come from: which file says so at which place, how that
// file came into the project, which variables filled the value and what it overrode.
//
// It goes through the merged tree and the model side by side. What is only in the model was added by the program.
package explain

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// Explanation is what there is to say of one value.
type Explanation struct {
	Path      string   `json:"path"`                // services.web.image; elements of lists are ports[0]
	Value     string   `json:"value"`               // as the model has it; of a list or mapping its JSON
	Source    *Source  `json:"source,omitempty"`    // where it is written; absent if the program added it
	Reason    string   `json:"reason,omitempty"`    // why it is there though nobody wrote it, or why it is not in the model
	Overrides []Source `json:"overrides,omitempty"` // what the value took the place of, the last one first
}

// Source is a value as a file has it.
type Source struct {
	File      string    `json:"file"`
	Line      int       `json:"line"`
	Col       int       `json:"col"`
	Text      string    `json:"text"`                // as it is written, with its variables
	Via       []Via     `json:"via,omitempty"`       // how the file came into the project, the nearest reference first
	Variables []Filling `json:"variables,omitempty"` // what stood for its variables
}

// Via is the place where a file is named that brings another one in.
type Via struct {
	Kind string `json:"kind"` // "included" or "extended"
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

// Filling is a variable with what stood for it.
type Filling struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Set    bool   `json:"set"`              // false: what the expression says for that case took its place, or nothing
	Origin string `json:"origin,omitempty"` // "environment", or FILE:LINE of an env file
}

// Explain returns the explanations of all values at the paths and below, in the order of the tree. A path is
// "services.web.image"; "*" stands for any one step, and keys may have dots. The second result are the paths at which
// there is nothing. model is the project as encoding/json reads it, with numbers as json.Number; nil if there is none.
func Explain(root *tree.Value, model any, env variables.Lookup, paths []string) (list []Explanation, nothing []string) {
	for _, path := range paths {
		w := &walker{env: env, noModel: model == nil}
		w.walk(node{v: root, model: model, written: true}, rest(path))
		if len(w.out) == 0 {
			nothing = append(nothing, path)
		}
		list = append(list, w.out...)
	}
	return list, nothing
}

// node is one value, in the tree and in the model.
type node struct {
	path    []string
	service *tree.Value // the service that it is in
	v       *tree.Value // nil: nobody wrote it
	model   any
	written bool // it is in the model, or there is none
	off     bool // it is in a service that the model has not
}

type walker struct {
	env     variables.Lookup
	noModel bool
	files   map[*tree.Value]map[string]*Source // what env_file and label_file say, by their list
	out     []Explanation
}

// walk explains the node if the path is at its end, or goes on along the path.
func (w *walker) walk(n node, path rest) {
	if path == "" && w.leaf(n) {
		w.add(n)
		return
	}
	if path == "" && n.v != nil && n.v.Before != nil && n.v.Before.Kind != tree.Null {
		w.add(n)
	}
	for key, child := range n.children {
		if after, ok := path.cut(key); ok {
			child.service, child.off = n.service, n.off
			if len(n.path) == 1 && n.path[0] == "services" {
				child.service, child.off = child.v, !child.written
			}
			w.walk(child, after)
		}
	}
}

// leaf says whether the value is explained as a whole: scalars, lists of them that were written together, and
// what was written in a short form.
func (w *walker) leaf(n node) bool {
	switch {
	case n.v.Scalar():
		return true
	case n.v != nil && n.v.Kind == tree.List && n.v.Len() > 0:
		return sameFile(n.v) && allScalars(n.v)
	case n.v.Len() > 0 && together(n.v, n.v.Place):
		return true
	}
	return n.size() == 0
}

func sameFile(list *tree.Value) bool {
	return !slices.ContainsFunc(list.Items, func(item *tree.Value) bool { return item.Place.File != list.Place.File || item.Before != nil })
}

func allScalars(list *tree.Value) bool {
	return !slices.ContainsFunc(list.Items, func(item *tree.Value) bool { return item.Kind >= tree.List })
}

// together says whether all of the value is written at the place: nothing was merged into its short form.
func together(v *tree.Value, at tree.Place) bool {
	for _, item := range v.Items {
		if item.Place != at || !together(item, at) {
			return false
		}
	}
	for _, e := range v.Entries {
		if e.Value.Place != at || !together(e.Value, at) {
			return false
		}
	}
	return true
}

// size is the number of values below the node.
func (n node) size() int {
	size := n.v.Len()
	switch m := n.model.(type) {
	case map[string]any:
		size += len(m)
	case []any:
		size += len(m)
	}
	return size
}

// children yields what is below the node by its key or index: what is written in its order, then what was added, sorted.
func (n node) children(yield func(string, node) bool) {
	seen := make(map[string]bool)
	inModel, _ := n.model.(map[string]any)
	list, _ := n.model.([]any)
	if n.v != nil {
		for _, e := range n.v.Entries {
			value, there := inModel[e.Key]
			seen[e.Key] = true
			if !yield(e.Key, n.below(e.Key, e.Value, value, there)) {
				return
			}
		}
		for i, item := range n.v.Items {
			var value any
			if i < len(list) {
				value = list[i]
			}
			if !yield(strconv.Itoa(i), n.below(fmt.Sprintf("[%d]", i), item, value, i < len(list))) {
				return
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(inModel)) {
		if value := inModel[key]; !seen[key] && (value != nil || len(n.path) > 2) && !yield(key, n.below(key, nil, value, true)) {
			return
		}
	}
	for i := n.v.Len(); i < len(list); i++ {
		if !yield(strconv.Itoa(i), n.below(fmt.Sprintf("[%d]", i), nil, list[i], true)) {
			return
		}
	}
}

func (n node) below(step string, v *tree.Value, model any, there bool) node {
	return node{path: append(n.path[:len(n.path):len(n.path)], step), v: v, model: model, written: there}
}

// join writes the path as it is written in messages: services.web.ports[0].target.
func join(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}

func (w *walker) add(n node) {
	e := Explanation{Path: join(n.path), Value: valueOf(n)}
	if n.v == nil {
		e.Source, e.Reason = w.added(n)
	} else {
		e.Source = sourceOf(n.v)
		w.fromEnvironment(&e, n)
		for before := n.v.Before; before != nil; before = before.Before {
			if before.Kind != tree.Null {
				e.Overrides = append(e.Overrides, *sourceOf(before))
			}
		}
		switch {
		case w.noModel || n.written || n.v.Kind == tree.Null:
		case n.off:
			e.Reason = "the service is off: none of its profiles is active"
		default:
			e.Reason = "it is used while loading and is not in the model"
		}
	}
	w.out = append(w.out, e)
}

// valueOf is the value in the model, or in the tree if the model has none.
func valueOf(n node) string {
	switch m := n.model.(type) {
	case nil:
		if n.v == nil {
			return "null"
		}
		return textOf(n.v, func(v *tree.Value) string { return v.Text })
	case string:
		return m
	case json.Number:
		return m.String()
	default:
		text, err := json.Marshal(m)
		if err != nil {
			return fmt.Sprint(m)
		}
		return string(text)
	}
}

// sourceOf is the value as it is written.
func sourceOf(v *tree.Value) *Source {
	s := &Source{Text: textOf(v, written)}
	if f := v.Place.File; f != nil {
		s.File, s.Line, s.Col = f.Name, v.Place.Line, v.Place.Col
		for ref := f.Via; ref != nil && ref.File != nil; ref = ref.File.Via {
			s.Via = append(s.Via, Via{ref.Kind, ref.File.Name, ref.Line, ref.Col})
		}
	}
	s.fill(v)
	return s
}

func (s *Source) fill(v *tree.Value) {
	for _, u := range v.Uses {
		f := Filling{Name: u.Name, Value: u.Value, Set: u.Set, Origin: u.Origin}
		if !slices.Contains(s.Variables, f) {
			s.Variables = append(s.Variables, f)
		}
	}
	for _, item := range v.Items {
		s.fill(item)
	}
	for _, e := range v.Entries {
		s.fill(e.Value)
	}
}

// written is a scalar with its variables as they stand in the file.
func written(v *tree.Value) string {
	if v.Raw != "" {
		return v.Raw
	}
	return v.Text
}

// textOf is a scalar's text, or a list or a mapping in the form of JSON.
func textOf(v *tree.Value, scalar func(*tree.Value) string) string {
	if text := scalar(v); v.Scalar() || text != "" {
		return text
	}
	var b strings.Builder
	compact(&b, v, scalar)
	return b.String()
}

func compact(b *strings.Builder, v *tree.Value, scalar func(*tree.Value) string) {
	switch {
	case v.Kind == tree.Null:
		b.WriteString("null")
	case v.Kind == tree.String:
		b.WriteString(strconv.Quote(scalar(v)))
	case v.Kind == tree.List:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			compact(b, item, scalar)
		}
		b.WriteByte(']')
	case v.Kind == tree.Map:
		b.WriteByte('{')
		for i, e := range v.Entries {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(e.Key) + ":")
			compact(b, e.Value, scalar)
		}
		b.WriteByte('}')
	default:
		b.WriteString(scalar(v))
	}
}
