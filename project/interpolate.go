package project

import (
	"errors"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
)

// filled is what phase 3 keeps of a scalar that had a "$" in it, for tree.Value.
type filled struct {
	raw  string // the scalar before
	uses []tree.Use
}

// interpolator is phase 3. It replaces the variables in the nodes themselves, so that the phases after this one check
// values; compose-go does the same again on its own copy of the files.
type interpolator struct {
	warned   map[string]bool
	warnings []Warning
	errors   Errors
}

func interpolate(sources []*source) *interpolator {
	in := &interpolator{warned: make(map[string]bool)}
	for _, s := range sources {
		s.dynamic = make(map[*yaml.Node]bool)
		s.filled = make(map[*yaml.Node]filled)
		if s.root != nil {
			in.walk(s, s.root)
		}
	}
	return in
}

func (in *interpolator) walk(s *source, n *yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "$") {
			in.replace(s, n)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			in.walk(s, n.Content[i])
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			in.walk(s, c)
		}
	}
}

func (in *interpolator) replace(s *source, n *yaml.Node) {
	var unset []string
	record := filled{raw: n.Value}
	value, err := template.SubstituteWithOptions(n.Value, func(name string) (string, bool) {
		v, ok := s.env[name]
		record.uses = append(record.uses, tree.Use{Name: name, Value: v, Set: ok})
		if !ok {
			unset = append(unset, name)
		}
		return v, ok
	}, template.WithoutLogging)
	if err != nil {
		in.errors = append(in.errors, in.fault(s, n, err))
		return
	}
	for _, name := range unset {
		in.warnUnset(s, n, name)
	}
	s.dynamic[n] = true
	s.filled[n] = record
	n.Value = value
}

// fault places an error at the "$" that caused it.
func (in *interpolator) fault(s *source, n *yaml.Node, err error) *Error {
	line, col := s.locateIn(n, "$")
	if missing, ok := errors.AsType[*template.MissingRequiredError](err); ok {
		line, col = s.locateIn(n, "${"+missing.Variable)
		problem := "the variable " + missing.Variable + " is required and not set"
		if missing.Reason != "" {
			problem += ": " + missing.Reason
		}
		return s.at(line, col, problem, fmt.Sprintf("set it in the environment or in .env: %s=…", missing.Variable))
	}
	return s.at(line, col, fmt.Sprintf("%q is not a valid use of a variable", n.Value), "write ${NAME} or ${NAME:-default}; a $ that is meant literally is written $$")
}

// locateIn finds where in the file the text begins, starting at the node; block scalars span lines.
func (s *source) locateIn(n *yaml.Node, text string) (line, col int) {
	last := n.Line + strings.Count(n.Value, "\n") + 1
	for line := n.Line; line <= last; line++ {
		content := s.line(line)
		start := 0
		if line == n.Line {
			start = min(n.Column-1, len(content))
		}
		if i := strings.Index(content[start:], text); i >= 0 {
			return line, start + i + 1
		}
	}
	return n.Line, n.Column
}

// warnUnset gives a warning for each variable once, and only where no default stands for it.
func (in *interpolator) warnUnset(s *source, n *yaml.Node, name string) {
	use := bareUse(n.Value, name)
	if use == "" || in.warned[name] {
		return
	}
	in.warned[name] = true
	line, col := s.locateIn(n, use)
	text := fmt.Sprintf("the variable %s is not set; it is replaced by nothing", name)
	in.warnings = append(in.warnings, Warning{Position{s.file, line, col}, text})
}

// bareUse returns how the text uses the variable without saying what to do when it is not set, or "".
func bareUse(text, name string) string {
	if braced := "${" + name + "}"; strings.Contains(text, braced) {
		return braced
	}
	plain := "$" + name
	for rest := text; ; {
		i := strings.Index(rest, plain)
		if i < 0 {
			return ""
		}
		rest = rest[i+len(plain):]
		if rest == "" || !isNameByte(rest[0]) {
			return plain
		}
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
