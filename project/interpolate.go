package project

import (
	"errors"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// filled is what phase 3 keeps of a scalar that had a "$" in it, for tree.Value.
type filled struct {
	raw  string // the scalar before
	uses []tree.Use
}

// interpolator is phase 3. It replaces the variables in the nodes themselves, file by file, so that all phases after it see
// values. It warns of each variable once.
type interpolator struct {
	strict   bool
	warned   map[string]bool
	room     int // by how many bytes variables may still make the files longer
	warnings []Warning
	errors   Errors
}

// mostNotices is how many warnings, and how many errors, variables get: each quotes its line, and files may be long.
const mostNotices = 200

func newInterpolator(o Options) *interpolator {
	return &interpolator{strict: o.Strict, warned: make(map[string]bool), room: variables.MaxGrowth}
}

// fill replaces the variables in a file.
func (in *interpolator) fill(s *source) {
	s.filled = make(map[*yaml.Node]filled)
	s.dynamic = make(map[*yaml.Node]bool)
	if s.root != nil {
		in.walk(s, s.root)
	}
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
	x, err := variables.Expand(n.Value, s.vars.Lookup, len(n.Value)+in.room)
	if m, ok := errors.AsType[*variables.Mistake](err); ok {
		in.mistake(s, n, m)
		return
	}
	for _, notice := range x.Notices(n.Value) {
		in.notice(s, n, notice)
	}
	record := filled{raw: n.Value}
	for _, u := range x.Uses {
		record.uses = append(record.uses, u.Use)
	}
	in.room -= max(0, len(x.Text)-len(n.Value))
	s.filled[n], s.dynamic[n], n.Value = record, true, x.Text
}

func (in *interpolator) mistake(s *source, n *yaml.Node, m *variables.Mistake) {
	if len(in.errors) < mostNotices {
		line, col := s.dollar(n, m.Offset)
		in.errors = append(in.errors, s.mistaken(m, line, col))
	}
}

// notice makes a warning; of a variable that is not set, once for all files, and an error in strict mode.
func (in *interpolator) notice(s *source, n *yaml.Node, notice variables.Notice) {
	if notice.Rule == variables.RuleUnset && in.warned[notice.Name] {
		return
	}
	in.warned[notice.Name] = true
	if len(in.warnings) == mostNotices {
		in.warnings = append(in.warnings, Warning{Text: "more warnings about variables are left out"})
	}
	if len(in.errors) >= mostNotices || len(in.warnings) > mostNotices {
		return
	}
	line, col := s.dollar(n, notice.Offset)
	if in.strict && notice.Rule == variables.RuleUnset {
		in.errors = append(in.errors, s.unset(notice, line, col))
	} else {
		in.warnings = append(in.warnings, s.warning(notice, line, col))
	}
}

// text is the scalar with its variables replaced, for what has to be known before all variables are. Mistakes in it are
// found later.
func (s *source) text(n *yaml.Node) string {
	x, err := variables.Expand(n.Value, s.vars.Lookup, variables.MaxValue)
	if err != nil {
		return ""
	}
	return x.Text
}

// Variable is a variable that the files of a project use.
type Variable struct {
	Name      string
	Required  bool   // somewhere it must be set
	Default   string // what stands for it somewhere when it is not set
	Alternate string // what stands somewhere in its place when it is set
	Position         // of its first use
}

// Variables are the variables that the project's files use, sorted by name.
func (p *Project) Variables() []Variable {
	var out []Variable
	index := make(map[string]int)
	for _, s := range p.sources {
		s.eachText(func(n *yaml.Node, text string) {
			for _, v := range variables.Named(text) {
				i, known := index[v.Name]
				if !known {
					i = len(out)
					index[v.Name] = i
					line, col := s.dollar(n, v.Offset)
					out = append(out, Variable{Name: v.Name, Position: Position{s.file, line, col}})
				}
				out[i].add(v)
			}
		})
	}
	slices.SortFunc(out, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (v *Variable) add(n variables.Name) {
	v.Required = v.Required || n.Required
	if v.Default == "" {
		v.Default = n.Default
	}
	if v.Alternate == "" {
		v.Alternate = n.Alternate
	}
}

// eachText calls do with each value that has a "$", as it was written.
func (s *source) eachText(do func(n *yaml.Node, text string)) {
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if record, ok := s.filled[n]; ok {
			do(n, record.raw)
		} else if n.Kind == yaml.ScalarNode && s.filled == nil && strings.Contains(n.Value, "$") {
			do(n, n.Value)
		}
		for i, c := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 {
				walk(c)
			}
		}
	}
	if s.root != nil {
		walk(s.root)
	}
}

// Origin says where the variable of Env was set: "environment", or "FILE:LINE" of an env file. It is "" for one that is not
// set, and for COMPOSE_PROJECT_NAME when the name comes from elsewhere.
func (p *Project) Origin(name string) string { return p.vars[name].Origin }
