// Package merge puts trees over each other, as several files, extends and include do.
//
// The rules are those of the Compose specification: mappings are merged key by key, lists are appended, and anything else
// takes the place of what was there. What differs from that is one table, keyed by path (table.go). Trees are in their long
// form (model.Canonical) before they are merged. No function changes what it is given: results share what did not change.
//
// The tags "!reset" and "!override" stay in a result as marks, because a service that extends another one is merged twice:
// over the other one, and over what earlier files say. Clean removes them at the end.
package merge

import (
	"fmt"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// Error is a value that cannot be merged with what it overrides.
type Error struct {
	Place   tree.Place // of the value
	Problem string
}

func (e Error) Error() string { return e.Problem }

// Files returns the root of a file over that of the files before it.
func Files(base, over *tree.Value) (*tree.Value, []Error) {
	m := &merger{}
	return m.value(base, over, table()), m.errors
}

// Service returns a service over the one that it extends.
func Service(base, over *tree.Value) (*tree.Value, []Error) {
	m := &merger{}
	return m.value(base, over, table().below("services").below("*")), m.errors
}

// Imported returns the root of a file together with what an included one defines. What both define is merged, and what the
// including file says wins.
func Imported(root, included *tree.Value) (*tree.Value, []Error) {
	out, m := copyOf(root), &merger{}
	for _, section := range []string{"services", "jobs", "volumes", "networks", "secrets", "configs", "models"} {
		e := included.Entry(section)
		if e == nil || e.Value.Kind != tree.Map {
			continue
		}
		own := out.Entry(section)
		if own == nil || own.Value.Kind != tree.Map {
			out.Set(section, e.At, e.Value)
			continue
		}
		m.path = []string{section}
		out.Set(section, own.At, m.maps(e.Value, own.Value, table().below(section)))
	}
	return out, m.errors
}

// merger merges two trees.
type merger struct {
	path   []string // of the values being merged, for messages
	errors []Error
}

// value is over with what it leaves of base. Either may be nil.
func (m *merger) value(base, over *tree.Value, rules *step) *tree.Value {
	switch {
	case over == nil || base == over:
		return base
	case base == nil || base.Reset || over.Reset:
		return over
	case over.Replace:
		return instead(over, base)
	case rules != nil && rules.merge != nil:
		return rules.merge(m, base, over, rules)
	}
	return m.plain(base, over, rules)
}

// plain is how values are merged for which there is no rule of their own.
func (m *merger) plain(base, over *tree.Value, rules *step) *tree.Value {
	switch {
	case over.Kind == tree.Null:
		return base
	case base.Kind == tree.Null || base.Scalar():
		return instead(over, base)
	case base.Kind != over.Kind:
		return m.differ(base, over)
	case base.Kind == tree.Map:
		return m.maps(base, over, rules)
	}
	return m.lists(base, over, rules)
}

var kindNames = map[tree.Kind]string{
	tree.Map: "a mapping", tree.List: "a list", tree.String: "a text", tree.Int: "a number", tree.Float: "a number", tree.Bool: "true or false",
}

// differ reports values that have nothing in common.
func (m *merger) differ(base, over *tree.Value) *tree.Value {
	where := ""
	if base.Place.File != nil {
		where = fmt.Sprintf(" in %s:%d:%d", base.Place.File.Name, base.Place.Line, base.Place.Col)
	}
	problem := fmt.Sprintf("%s cannot be merged: it is %s%s, and %s here", strings.Join(m.path, "."), kindNames[base.Kind], where, kindNames[over.Kind])
	m.errors = append(m.errors, Error{over.Place, problem})
	return over
}

func (m *merger) maps(base, over *tree.Value, rules *step) *tree.Value {
	out := copyOf(base)
	out.Place, out.Before, out.Replace = over.Place, over.Before, over.Replace
	for _, e := range over.Entries {
		was := out.Get(e.Key)
		if was == nil {
			out.Set(e.Key, e.At, e.Value)
			continue
		}
		m.path = append(m.path, e.Key)
		out.Set(e.Key, e.At, m.value(was, e.Value, rules.below(e.Key)))
		m.path = m.path[:len(m.path)-1]
	}
	return out
}

// longestHistory is how many values a value remembers. People override a few times; a file that is included thousands of
// times must not make a chain of all of them.
const longestHistory = 100

// instead is the value as it takes the place of another one.
func instead(v, before *tree.Value) *tree.Value { return follow(v, before, longestHistory) }

func follow(v, before *tree.Value, most int) *tree.Value {
	out := v.Copy()
	if v.Before != nil && most > 0 {
		before = follow(v.Before, before, most-1)
	}
	if out.Before = before; most == 0 {
		out.Before = nil
	}
	return out
}

// copyOf is a Map with the same entries, which may be changed.
func copyOf(v *tree.Value) *tree.Value {
	if v == nil {
		return tree.NewMap(tree.Place{})
	}
	out := v.Copy()
	out.Entries = make([]tree.Entry, len(v.Entries), len(v.Entries)+4)
	copy(out.Entries, v.Entries)
	return out
}
