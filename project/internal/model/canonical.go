package model

import (
	"cmp"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// Canonical gives everything in a file's tree its long form, in place. What it makes has the place of what it was made of.
// What cannot be parsed stays as it is. A tree in its long form is not changed.
func Canonical(root *tree.Value) {
	m := new(maker)
	for _, section := range []string{"services", "jobs"} {
		m.each(root.Get(section), service)
	}
	for _, section := range []string{"volumes", "networks", "secrets", "configs"} {
		m.each(root.Get(section), external)
	}
	m.each(root.Get("include"), keyed("path"))
}

// maker makes long forms.
type maker struct {
	values  []tree.Value // allocated together, not used yet
	entries []tree.Entry
}

// A form makes the long form of a value. It returns the value itself, changed or not, or one that takes its place.
type form func(*maker, *tree.Value) *tree.Value

// containerForms are of attributes that services, jobs and pre_start hooks have in common.
var containerForms = map[string]form{
	"configs":    items(keyed("source")),
	"devices":    items(device),
	"dns":        dns,
	"env_file":   func(m *maker, v *tree.Value) *tree.Value { return items(envFile)(m, list(m, v)) },
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
	"pre_start":  items(func(m *maker, v *tree.Value) *tree.Value { return m.apply(v, containerForms) }),
	"triggers":   triggers,
}

var buildForms = map[string]form{
	"additional_contexts": pairs,
	"provenance":          text,
	"sbom":                text,
	"secrets":             items(keyed("source")),
	"ssh":                 sshKeys,
}

// service is a service or job in its long form.
func service(m *maker, v *tree.Value) *tree.Value {
	adopt(v, "x-develop", "develop")
	m.apply(v, containerForms)
	return m.apply(v, workloadForms)
}

// apply gives a mapping's values their long forms.
func (m *maker) apply(v *tree.Value, forms map[string]form) *tree.Value {
	if v == nil || v.Kind != tree.Map {
		return v
	}
	for i := range v.Entries {
		if f := forms[v.Entries[i].Key]; f != nil {
			v.Entries[i].Value = f(m, v.Entries[i].Value)
		}
	}
	return v
}

// each gives the values of a mapping or list their long form.
func (m *maker) each(v *tree.Value, f form) *tree.Value {
	if v == nil {
		return nil
	}
	for i := range v.Entries {
		v.Entries[i].Value = f(m, v.Entries[i].Value)
	}
	for i := range v.Items {
		v.Items[i] = f(m, v.Items[i])
	}
	return v
}

// items is the form of a list whose items have the form.
func items(f form) form {
	return func(m *maker, v *tree.Value) *tree.Value {
		if v == nil || v.Kind != tree.List {
			return v
		}
		return m.each(v, f)
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
		out := over.Copy()
		out.Items = slices.Concat(base.Items, over.Items)
		return out
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

// value is a value like the one that it is made of.
func (m *maker) value(of *tree.Value, kind tree.Kind, text string) *tree.Value {
	if len(m.values) == 0 {
		m.values = make([]tree.Value, 64)
	}
	v := &m.values[0]
	m.values = m.values[1:]
	v.Kind, v.Text, v.Place = kind, text, of.Place
	return v
}

// piece is a scalar that is a part of another one.
func (m *maker) piece(of *tree.Value, kind tree.Kind, text string) *tree.Value {
	v := m.value(of, kind, text)
	v.Uses = of.Uses
	return v
}

// instead is an empty value that takes the place of another one in the tree. It remembers a text as which it is written, and
// has room for some entries.
func (m *maker) instead(of *tree.Value, kind tree.Kind, room int) *tree.Value {
	v := m.value(of, kind, "")
	v.Raw, v.Before, v.Reset, v.Replace = cmp.Or(of.Raw, of.Text), of.Before, of.Reset, of.Replace
	if len(m.entries) < room {
		m.entries = make([]tree.Entry, max(room, 64))
	}
	v.Entries, m.entries = m.entries[:0:room], m.entries[room:]
	return v
}

// add gives a mapping that is being made a key, where the value is written.
func add(v *tree.Value, key string, part *tree.Value) {
	v.Entries = append(v.Entries, tree.Entry{Key: key, At: part.Place, Value: part})
}

// addText adds a text that is a part of another value, unless it is empty.
func (m *maker) addText(v, of *tree.Value, key, text string) {
	if text != "" {
		add(v, key, m.piece(of, tree.String, text))
	}
}

// keyed is the form of a text that stands for a mapping with one key.
func keyed(key string) form {
	return func(m *maker, v *tree.Value) *tree.Value {
		if !v.Scalar() {
			return v
		}
		out := m.instead(v, tree.Map, 2)
		add(out, key, m.piece(v, tree.String, v.Text))
		return out
	}
}

// list is the form of a text that stands for a list of one.
func list(m *maker, v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	out := m.instead(v, tree.List, 0)
	out.Items = []*tree.Value{m.piece(v, v.Kind, v.Text)}
	return out
}

// text is the form of a boolean or number that stands for its text.
func text(_ *maker, v *tree.Value) *tree.Value {
	if v.Scalar() {
		v.Kind = tree.String
	}
	return v
}

// names is the form of a list whose items stand for the keys of a mapping that is otherwise empty.
func names(m *maker, v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := m.instead(v, tree.Map, len(v.Items))
	for _, item := range v.Items {
		out.Set(item.Text, item.Place, m.piece(item, tree.Null, ""))
	}
	return out
}

// pairs is the form of a list of "key=value". A list with an item that is none stays.
func pairs(m *maker, v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := m.instead(v, tree.Map, len(v.Items))
	for _, item := range v.Items {
		key, value, ok := strings.Cut(item.Text, "=")
		if !ok {
			return v
		}
		out.Set(key, item.Place, m.piece(item, tree.String, value))
	}
	return out
}

// sshKeys is the form of a list of "id=path" and "default".
func sshKeys(m *maker, v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	out := m.instead(v, tree.Map, len(v.Items))
	for _, item := range v.Items {
		id, path, ok := strings.Cut(item.Text, "=")
		value := m.piece(item, tree.String, path)
		switch {
		case !ok && id != "default":
			return v
		case !ok:
			value.Kind = tree.Null
		}
		out.Set(id, item.Place, value)
	}
	return out
}

// external is the form of the deprecated "external: {name: x}". If there is another name too, it stays, and is an error later.
func external(m *maker, v *tree.Value) *tree.Value {
	e := v.Entry("external")
	if e == nil || e.Value == nil || e.Value.Kind != tree.Map {
		return v
	}
	inner, outer := e.Value.Entry("name"), v.Entry("name")
	if inner != nil && outer != nil && inner.Value.Text != outer.Value.Text {
		return v
	}
	e.Value = m.instead(e.Value, tree.Bool, 0)
	e.Value.Text = "true"
	if inner != nil && outer == nil {
		v.Set("name", inner.At, inner.Value)
	}
	return v
}
