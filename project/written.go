package project

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// Has says whether some file states the value at the path.
func (p *Project) Has(path ...string) bool { return p.has(path...) }

// Literal says whether some file states the text at the path without a variable in it.
func (p *Project) Literal(path ...string) bool {
	e, n := p.root.Find(path...)
	return n == len(path) && e.Value.Scalar() && len(e.Value.Uses) == 0
}

// Text is what one of the project's Compose files says; ok is false if it is none of them.
func (p *Project) Text(file string) (text string, ok bool) {
	i := slices.IndexFunc(p.sources, func(s *source) bool { return s.file == file })
	if i < 0 {
		return "", false
	}
	return string(p.sources[i].content), true
}

// Import is a place where a Compose file names another one that is not on this machine.
type Import struct {
	*Error         // about this place; the Problem is empty
	Address string // of the other file
}

// Imports are the places where includes and extends name remote files.
func (p *Project) Imports() []Import {
	var out []Import
	for _, s := range p.sources {
		for _, n := range named(s.root) {
			if slices.ContainsFunc(p.options.Remotes, func(f Fetcher) bool { return f.Accepts(n.Value) }) {
				out = append(out, Import{s.at(n.Line, n.Column, "", ""), n.Value})
			}
		}
	}
	return out
}

// named are the scalars of a file that name others.
func named(root *yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	if include, ok := child(root, "include"); ok {
		for _, item := range resolveAlias(include.value).Content {
			if path, ok := child(item, "path"); ok {
				item = path.value
			}
			out = append(out, scalars(item)...)
		}
	}
	services, ok := child(root, "services")
	if !ok {
		return out
	}
	for i, service := range resolveAlias(services.value).Content {
		if extends, ok := child(service, "extends"); ok && i%2 == 1 {
			if file, ok := child(extends.value, "file"); ok {
				out = append(out, file.value)
			}
		}
	}
	return out
}
