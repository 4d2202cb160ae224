package project

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/tree"
)

// Position says where the value at the path is written, for example Position("services", "web", "ports", "0"). Where several
// files state it, the last one counts, as in merging. Of a path that no file states, the nearest parent is given.
func (p *Project) Position(path ...string) Position {
	at := p.place(path)
	if at.File == nil {
		return Position{}
	}
	return Position{at.File.Name, at.Line, at.Col}
}

// Mistake is an Error about the value at the path.
func (p *Project) Mistake(problem, fix string, path ...string) *Error {
	return p.mistake("", problem, fix, path...)
}

// mistake is Mistake with the kind of mistake.
func (p *Project) mistake(rule, problem, fix string, path ...string) *Error {
	return mistakeAt(p.sources, p.place(path), rule, problem, fix)
}

// Paths are the files that the project was read from, each once: Compose files with what they include and extend, and the
// env files and label files of both the project and its services.
func (p *Project) Paths() []string {
	out := slices.Clone(p.paths)
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for _, s := range services {
			for _, file := range s.EnvFiles {
				out = append(out, file.Path)
			}
			out = append(out, s.LabelFiles...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// place is where the path leads, or the nearest of its parents that is written somewhere.
func (p *Project) place(path []string) tree.Place {
	for n := len(path); n > 0; {
		e, found := p.root.Find(path[:n]...)
		if found == 0 {
			break
		}
		if e.At.File != nil {
			return e.At
		}
		if e.Value != nil && e.Value.Place.File != nil {
			return e.Value.Place
		}
		n = found - 1
	}
	return tree.Place{}
}

// has says whether some file states the path.
func (p *Project) has(path ...string) bool {
	_, n := p.root.Find(path...)
	return n == len(path)
}

// mistakeAt is an Error at a place of one of the sources.
func mistakeAt(sources []*source, at tree.Place, rule, problem, fix string) *Error {
	i := slices.IndexFunc(sources, func(s *source) bool { return s.of == at.File })
	if at.File == nil || i < 0 {
		return &Error{Rule: rule, Problem: problem, Fix: fix}
	}
	return sources[i].ruled(rule, at.Line, at.Col, problem, fix)
}
