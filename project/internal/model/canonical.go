package model

import (
	"cmp"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// Canonical gives everything in a file's tree its long form, in place. What it makes has the place of what it was made of.
// What cannot be parsed stays as it is. A tree in its long form is not changed.
func Canonical(root *tree.Value) {
	for _, section := range []string{"services", "jobs"} {
		each(root.Get(section), func(v *tree.Value) *tree.Value { return CanonicalService(v) })
	}
	for _, section := range []string{"volumes", "networks", "secrets", "configs"} {
		each(root.Get(section), external)
	}
	each(root.Get("include"), keyed("path"))
}

// CanonicalService does what Canonical does to one service or job, and returns it.
func CanonicalService(v *tree.Value) *tree.Value {
	adopt(v, "x-develop", "develop")
	apply(v, containerForms)
	return apply(v, workloadForms)
}

// A form makes the long form of a value. It returns the value itself, changed or not, or one that takes its place.
type form func(*tree.Value) *tree.Value

// containerForms are of attributes that services, jobs and pre_start hooks have in common.
var containerForms = map[string]form{
	"configs":    items(keyed("source")),
	"devices":    items(device),
	"dns":        dns,
	"env_file":   func(v *tree.Value) *tree.Value { return items(envFile)(list(v)) },
	"gpus":       gpus,
	"label_file": list,
	"models":     names,
	"networks":   names,
	"secrets":    items(keyed("source")),
	"volumes":    items(volume),
}

// workloadForms are of attributes that services and jobs have beyond these.
var workloadForms = map[string]form{
	"build":      build,
	"depends_on": dependencies,
	"develop":    develop,
	"extends":    keyed("service"),
	"ports":      ports,
	"pre_start":  items(func(v *tree.Value) *tree.Value { return apply(v, containerForms) }),
	"triggers":   triggers,
}

var buildForms = map[string]form{
	"additional_contexts": pairs,
	"provenance":          text,
	"sbom":                text,
	"secrets":             items(keyed("source")),
	"ssh":                 sshKeys,
}

// apply gives a mapping's values their long forms.
func apply(v *tree.Value, forms map[string]form) *tree.Value {
	if v == nil || v.Kind != tree.Map {
		return v
	}
	for i := range v.Entries {
		if f := forms[v.Entries[i].Key]; f != nil {
			v.Entries[i].Value = f(v.Entries[i].Value)
		}
	}
	return v
}

// each gives the values of a mapping or list their long form.
func each(v *tree.Value, f form) *tree.Value {
	if v == nil {
		return nil
	}
	for i := range v.Entries {
		v.Entries[i].Value = f(v.Entries[i].Value)
	}
	for i := range v.Items {
		v.Items[i] = f(v.Items[i])
	}
	return v
}

// items is the form of a list whose items have the form.
func items(f form) form {
	return func(v *tree.Value) *tree.Value {
		if v == nil || v.Kind != tree.List {
			return v
		}
		return each(v, f)
	}
}

// adopt renames an attribute that the specification had as an extension first. What is written under its own name wins.
func adopt(v *tree.Value, extension, name string) {
	old := v.Entry(extension)
	if old == nil {
		return
	}
	was := *old
	if now := v.Get(name); now != nil && now.Kind != tree.Null {
		was.Value = underlay(was.Value, now)
	}
	v.Set(name, was.At, was.Value)
	v.Delete(extension)
}

// underlay is over, completed with what only base has.
func underlay(base, over *tree.Value) *tree.Value {
	switch {
	case base.Kind == tree.List && over.Kind == tree.List:
		out := *over
		out.Items = append(append([]*tree.Value(nil), base.Items...), over.Items...)
		return &out
	case base.Kind != tree.Map || over.Kind != tree.Map:
		return over
	}
	out := over.Clone()
	for _, e := range base.Entries {
		if now := out.Get(e.Key); now != nil {
			e.Value = underlay(e.Value, now)
		}
		out.Set(e.Key, tree.Place{}, e.Value)
		if at := out.Entry(e.Key); at.At == (tree.Place{}) {
			at.At = e.At
		}
	}
	return out
}

// instead is an empty value that takes the place of another one in the tree. It remembers a text as which it is written.
func instead(v *tree.Value, kind tree.Kind) *tree.Value {
	return &tree.Value{Kind: kind, Raw: cmp.Or(v.Raw, v.Text), Place: v.Place, Before: v.Before, Reset: v.Reset, Replace: v.Replace}
}

// piece is a scalar that is a part of another one.
func piece(of *tree.Value, kind tree.Kind, text string) *tree.Value {
	return &tree.Value{Kind: kind, Text: text, Place: of.Place, Uses: of.Uses}
}

// add gives a mapping that is being made a key, where the value is written.
func add(m *tree.Value, key string, v *tree.Value) {
	m.Entries = append(m.Entries, tree.Entry{Key: key, At: v.Place, Value: v})
}

// keyed is the form of a text that stands for a mapping with one key.
func keyed(key string) form {
	return func(v *tree.Value) *tree.Value {
		if !v.Scalar() {
			return v
		}
		out := instead(v, tree.Map)
		out.Entries = make([]tree.Entry, 0, 1)
		add(out, key, piece(v, tree.String, v.Text))
		return out
	}
}

// list is the form of a text that stands for a list of one.
func list(v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	out := instead(v, tree.List)
	out.Items = []*tree.Value{piece(v, v.Kind, v.Text)}
	return out
}

// text is the form of a boolean or number that stands for its text.
func text(v *tree.Value) *tree.Value {
	if v.Scalar() {
		v.Text, v.Kind = plainText(v), tree.String
	}
	return v
}

// names is the form of a list whose items stand for the keys of a mapping that is otherwise empty.
func names(v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := instead(v, tree.Map)
	for _, item := range v.Items {
		out.Set(item.Text, item.Place, piece(item, tree.Null, ""))
	}
	return out
}

// pairs is the form of a list of "key=value". A list with an item that is none stays.
func pairs(v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := instead(v, tree.Map)
	for _, item := range v.Items {
		key, value, ok := strings.Cut(item.Text, "=")
		if !ok {
			return v
		}
		out.Set(key, item.Place, piece(item, tree.String, value))
	}
	return out
}

// sshKeys is the form of a list of "id=path" and "default".
func sshKeys(v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := instead(v, tree.Map)
	for _, item := range v.Items {
		id, path, ok := strings.Cut(item.Text, "=")
		value := piece(item, tree.String, path)
		switch {
		case !ok && id != "default":
			return v
		case !ok:
			value = piece(item, tree.Null, "")
		}
		out.Set(id, item.Place, value)
	}
	return out
}

// external is the form of the deprecated "external: {name: x}". If there is another name too, it stays, and is an error later.
func external(v *tree.Value) *tree.Value {
	e := v.Entry("external")
	if e == nil || e.Value == nil || e.Value.Kind != tree.Map {
		return v
	}
	inner, outer := e.Value.Entry("name"), v.Entry("name")
	if inner != nil && outer != nil && inner.Value.Text != outer.Value.Text {
		return v
	}
	yes := instead(e.Value, tree.Bool)
	yes.Text = "true"
	e.Value = yes
	if inner != nil && outer == nil {
		v.Set("name", inner.At, inner.Value)
	}
	return v
}
