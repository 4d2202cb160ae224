// Package tree holds a Compose file, or several merged ones, as values that know where they were written.
//
// A Value is what the YAML says after its variables were replaced. Merging, include and extends move Values between trees;
// each keeps the Place where it was written, the Value that it took the place of, and the variables that filled it. So
// every later phase can point at the line that is to blame, and "config --explain" can tell where a value came from.
//
// The package has no rules of Compose in it; those are in the phases that use it.
package tree

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is what a Value is.
type Kind uint8

// The kinds. Int, Float and Bool are scalars that YAML resolves to these types; a quoted scalar is a String.
const (
	Null Kind = iota
	String
	Bool
	Int
	Float
	List
	Map
)

// File is one reading of a file. A file that is included twice, with two environments, is two Files.
type File struct {
	Name string            // absolute, "-" for standard input, or the address of a remote resource
	Dir  string            // where the relative paths that it states begin, absolute
	Root string            // what the files that it names may not lie outside of: a remote resource's; "" for local files
	Env  map[string]string // what its variables were replaced from
	Via  *Reference        // how it came into the project; nil for a file of the command line
}

// Reference is how a file names another one, or a service another one.
type Reference struct {
	Place
	Kind    string // "included" or "extended"
	Service string // the one that extends
}

// Place is where something is written. Line and Col start at 1; Col counts bytes. The zero Place is nowhere: the value was
// made by the program.
type Place struct {
	File      *File
	Line, Col int
}

// Use is a variable that filled a part of a value.
type Use struct {
	Name   string
	Value  string
	Set    bool   // false: the default of the expression, or nothing, took its place
	Origin string // "environment", the name of an env file, or "" if not set
}

// Value is a node of a tree.
type Value struct {
	Kind    Kind
	Text    string   // of a scalar, variables replaced; "true" or "false" of a Bool
	Raw     string   // of a scalar that had variables: the text as it was written; else ""
	Items   []*Value // of a List
	Entries []Entry  // of a Map, in the order of the file; use the methods to change them
	Place   Place
	Uses    []Use  // the variables of a scalar
	Before  *Value // what this value took the place of in merging; nil if nothing
	Reset   bool   // it was written with !reset: what it overrides is removed
	Replace bool   // it was written with !override: it is not merged with what it overrides

	index map[string]int // of Entries; only of large maps
}

// Entry is a key of a Map with its value.
type Entry struct {
	Key   string
	At    Place // of the key
	Value *Value
}

// indexFrom is the number of entries from which a Map keeps an index.
const indexFrom = 16

// NewMap returns an empty Map written at the place.
func NewMap(at Place) *Value { return &Value{Kind: Map, Place: at} }

// NewText returns a String written at the place.
func NewText(text string, at Place) *Value { return &Value{Kind: String, Text: text, Place: at} }

// Scalar says whether the value is neither a Map nor a List nor Null.
func (v *Value) Scalar() bool { return v != nil && v.Kind >= String && v.Kind <= Float }

// Len is the number of a Map's entries or a List's items.
func (v *Value) Len() int {
	if v == nil {
		return 0
	}
	return len(v.Entries) + len(v.Items)
}

// Or is the text of a scalar; of anything else, also nil, it is the given text.
func (v *Value) Or(text string) string {
	if v.Scalar() {
		return v.Text
	}
	return text
}

// Get returns the value of a Map's key, or nil. It is nil also of anything else than a Map.
func (v *Value) Get(key string) *Value {
	if e := v.Entry(key); e != nil {
		return e.Value
	}
	return nil
}

// Entry returns a Map's entry, or nil. It may be changed, until the next Set or Delete.
func (v *Value) Entry(key string) *Entry {
	if i := v.find(key); i >= 0 {
		return &v.Entries[i]
	}
	return nil
}

func (v *Value) find(key string) int {
	switch {
	case v == nil || v.Kind != Map:
		return -1
	case len(v.Entries) < indexFrom:
		return slices.IndexFunc(v.Entries, func(e Entry) bool { return e.Key == key })
	case v.index == nil:
		v.index = make(map[string]int, len(v.Entries))
		for i, e := range v.Entries {
			v.index[e.Key] = i
		}
	}
	if i, ok := v.index[key]; ok {
		return i
	}
	return -1
}

// Set gives a key of a Map its value. A key that is there keeps its position, and At unless at is a place.
func (v *Value) Set(key string, at Place, value *Value) {
	if e := v.Entry(key); e != nil {
		e.Value = value
		if at != (Place{}) {
			e.At = at
		}
		return
	}
	v.Entries = append(v.Entries, Entry{key, at, value})
	if v.index != nil {
		v.index[key] = len(v.Entries) - 1
	}
}

// Delete removes a key of a Map.
func (v *Value) Delete(key string) {
	if i := v.find(key); i >= 0 {
		v.Entries = slices.Delete(v.Entries, i, i+1)
		v.index = nil
	}
}

// Copy copies the value. What is below it is shared: it must not be changed, and Entries and Items must be replaced before
// they are.
func (v *Value) Copy() *Value {
	out := *v
	out.index = nil
	return &out
}

// Clone copies the value and all below it. Places, uses and what was overridden are shared.
func (v *Value) Clone() *Value {
	if v == nil {
		return nil
	}
	out := *v
	out.index = nil
	out.Items = slices.Clone(v.Items)
	for i, item := range out.Items {
		out.Items[i] = item.Clone()
	}
	out.Entries = slices.Clone(v.Entries)
	for i := range out.Entries {
		out.Entries[i].Value = out.Entries[i].Value.Clone()
	}
	return &out
}

// Equal says whether two values say the same, wherever they are written. The order of a Map's keys does not matter.
func Equal(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Entries) != len(b.Entries) {
		return false
	}
	for i := range a.Items {
		if !Equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, e := range a.Entries {
		if other := b.Entry(e.Key); other == nil || !Equal(e.Value, other.Value) {
			return false
		}
	}
	return true
}

// Find follows the path as far as it exists: a step is a key, an index of a List ("0" or "[0]"), the name at the beginning
// of an item ("NAME" of "NAME=value" or "NAME:/path"), or the source that an item has. It returns the entry reached and how
// many steps that were; an item of a List has no key and its value's place.
func (v *Value) Find(path ...string) (Entry, int) {
	at := Entry{Value: v}
	for i, step := range path {
		next, ok := at.Value.step(step)
		if !ok {
			return at, i
		}
		at = next
	}
	return at, len(path)
}

func (v *Value) step(step string) (Entry, bool) {
	if e := v.Entry(step); e != nil {
		return *e, true
	}
	if v == nil || v.Kind != List {
		return Entry{}, false
	}
	if i, err := strconv.Atoi(strings.Trim(step, "[]")); err == nil {
		if i < 0 || i >= len(v.Items) {
			return Entry{}, false
		}
		return Entry{At: v.Items[i].Place, Value: v.Items[i]}, true
	}
	for _, item := range v.Items {
		if item.Scalar() && NameOf(item.Text) == step || item.Get("source").Or("") == step {
			return Entry{At: item.Place, Value: item}, true
		}
	}
	return Entry{}, false
}

// NameOf is what stands before "=" or ":" in "name=value", or all of it.
func NameOf(s string) string {
	if i := strings.IndexAny(s, "=:"); i > 0 {
		return s[:i]
	}
	return s
}
