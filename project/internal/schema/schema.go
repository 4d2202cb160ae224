// Package schema is the shape of Compose files: which keys each mapping may have and what kinds of values they take.
//
// The tables are generated from the JSON schema of the Compose Specification (go test -update rewrites them) and are data
// of the program: nothing is read or built when it starts. What the JSON schema says about the form of a text (patterns,
// formats) is not here; that is for whoever checks values, with a message better than a regular expression.
package schema

import (
	"slices"
	"sort"
	"strings"
)

// Kinds is a set of kinds of values.
type Kinds uint8

// The kinds. A whole number is taken where a Float is.
const (
	Null Kinds = 1 << iota
	String
	Bool
	Int
	Float
	List
	Map

	Any = Null | String | Bool | Int | Float | List | Map
)

// Rule says what a value may be. What it says about mappings holds for a value that is one, and so on.
type Rule struct {
	Kinds Kinds
	Enum  []string // of a String: the texts that are allowed; nil: all
	Range *Range   // of an Int or a Float
	Items *Rule    // of a List; nil: anything

	// of a Map
	Keys       []Key    // sorted by name
	Parts      []*Rule  // whose keys it has as well
	Names      Names    // what names of the user's own are like
	Named      *Rule    // what they hold
	Extensions bool     // keys that begin with x- are allowed
	Open       bool     // any other key is allowed too
	Required   []string // keys that must be there
	OneOf      []string // keys one of which must be there
}

// Key is a key of a mapping and what it holds.
type Key struct {
	Name string
	*Rule
}

// Range is the least and the greatest number that is allowed.
type Range struct{ Min, Max float64 }

// Names is what names are like that the user gives.
type Names uint8

// The kinds of names.
const (
	NoNames    Names = iota // there are only the fixed keys
	Identifier              // letters, digits, dots, hyphens and underscores
	Lower                   // lower-case letters
	Nonempty                // anything
)

// Fits says whether the name is of that kind.
func (n Names) Fits(name string) bool {
	switch n {
	case Identifier:
		return name != "" && strings.IndexFunc(name, func(r rune) bool { return !identifier(r) }) < 0
	case Lower:
		return name != "" && strings.IndexFunc(name, func(r rune) bool { return r < 'a' || r > 'z' }) < 0
	case Nonempty:
		return name != ""
	}
	return false
}

func identifier(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}

// anything is the rule of extensions and of other keys of open mappings.
var anything = Rule{Kinds: Any, Open: true}

// Find returns the rule of a key of a mapping, or nil if there is no such key. A key that the user has named is not fixed.
func (r *Rule) Find(key string) (rule *Rule, fixed bool) {
	if found := r.Fixed(key); found != nil {
		return found, true
	}
	switch {
	case r.Named != nil && r.Names.Fits(key):
		return r.Named, false
	case r.Open || strings.HasPrefix(key, "x-") && r.extensible():
		return &anything, false
	}
	return nil, false
}

func (r *Rule) extensible() bool {
	return r.Extensions || slices.ContainsFunc(r.Parts, (*Rule).extensible)
}

// Fixed returns the rule of a key that the specification names, or nil.
func (r *Rule) Fixed(key string) *Rule {
	i := sort.Search(len(r.Keys), func(i int) bool { return r.Keys[i].Name >= key })
	if i < len(r.Keys) && r.Keys[i].Name == key {
		return r.Keys[i].Rule
	}
	for _, part := range r.Parts {
		if found := part.Fixed(key); found != nil {
			return found
		}
	}
	return nil
}

// FixedKeys lists the keys that the specification names.
func (r *Rule) FixedKeys() []string {
	var out []string
	for _, k := range r.Keys {
		out = append(out, k.Name)
	}
	for _, part := range r.Parts {
		out = append(out, part.FixedKeys()...)
	}
	return out
}

// Root is the rule of a whole file, Service that of a service.
func Root() *Rule { return &root }

// Service is the rule of a service.
func Service() *Rule { return &service }
