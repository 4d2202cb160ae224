// Package variables replaces the variables of a text, and reads the files that set them.
//
// The grammar is that of the Compose specification: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message},
// ${NAME?message}, ${NAME:+instead}, ${NAME+instead}, and $$ for a dollar sign. What stands after an operator is a text of
// the same grammar, up to Depth levels deep, and ends on the line on which it begins.
//
// The files (.env, --env-file, env_file) are those of Docker Compose: NAME=value, quotes, escapes, comments, "export", values
// of several lines, and variables in values. There is a second, plain form, in which a value stands as it is ("raw").
//
// Every use of a variable and every mistake comes with the byte at which it begins. Nothing here grows without a bound: see
// the constants.
package variables

import (
	"bytes"
	"maps"
	"strings"
)

// The bounds. Docker Compose has none; no file that people write comes near them.
const (
	Depth     = 100      // of expressions in expressions
	MaxUses   = 10_000   // of variables in one value
	MaxNames  = 100_000  // of variables that an env file sets
	MaxFile   = 10 << 20 // bytes of an env file
	MaxValue  = 1 << 20  // bytes of a value in an env file, variables replaced
	MaxGrowth = 32 << 20 // bytes by which the variables may make one env file, or all Compose files of a project, longer
)

// Environment is the Origin of what the caller's environment sets.
const Environment = "environment"

// Var is the value of a variable and where it was set.
type Var struct {
	Value  string
	Origin string // Environment, or "FILE:LINE" of an env file
}

// Env has variables by their names.
type Env map[string]Var

// From makes an Env of values that all have one origin.
func From(values map[string]string, origin string) Env {
	e := make(Env, len(values))
	for name, value := range values {
		e[name] = Var{value, origin}
	}
	return e
}

// Lookup finds a variable.
func (e Env) Lookup(name string) (Var, bool) {
	v, ok := e[name]
	return v, ok
}

// Values are the variables without their origins.
func (e Env) Values() map[string]string {
	out := make(map[string]string, len(e))
	for name, v := range e {
		out[name] = v.Value
	}
	return out
}

// Under adds the variables of other that e does not have.
func (e Env) Under(other Env) {
	for name, v := range other {
		if _, set := e[name]; !set {
			e[name] = v
		}
	}
}

// Clone is a copy.
func (e Env) Clone() Env { return maps.Clone(e) }

// Lookup finds the value of a variable; false says that it is not set.
type Lookup func(name string) (Var, bool)

// Mistake is what is wrong with a text, and where.
type Mistake struct {
	Offset    int // the byte at which it begins
	Line, Col int // the same as a place in an env file, from 1; 0 for other texts
	Rule      string
	Problem   string
	Fix       string
}

func (m *Mistake) Error() string { return m.Problem }

// The rules of Mistakes and Notices, for programs.
const (
	RuleSyntax   = "variable-syntax"
	RuleRequired = "variable-required"
	RuleUnset    = "variable-unset"
	RuleDollar   = "dollar"
	RuleLimit    = "limit"
	RuleEnvFile  = "env-file"
)

// Notice is something about a text that is legal and probably not meant.
type Notice struct {
	Offset    int
	Line, Col int // in an env file
	Rule      string
	Name      string // of the variable that is not set; RuleUnset only
	Text      string
	Fix       string
}

// place says on which line and at which byte of it the offset is, both from 1.
func place(text string, offset int) (line, col int) {
	before := text[:min(offset, len(text))]
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

var bom = []byte("\uFEFF")

func withoutBOM(content []byte) []byte { return bytes.TrimPrefix(content, bom) }
