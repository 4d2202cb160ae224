package project

import (
	"context"
)

// Load finds, reads and checks a project. The warnings are valid also when there is an error. The error is an Errors when
// the user's files are at fault, and matches ErrNoFile when there is no Compose file.
func Load(ctx context.Context, o Options) (*Project, []Warning, error) {
	found, err := find(o)
	warnings := found.warnings
	if err != nil {
		return nil, warnings, err
	}
	sources, err := parse(found)
	if err != nil {
		return nil, warnings, err
	}
	name, err := projectName(o, found, sources)
	if err != nil {
		return nil, warnings, err
	}
	found.setName(name, sources)
	in := newInterpolator(o)
	for _, s := range sources {
		in.fill(s)
	}
	warnings = append(warnings, in.warnings...)
	if err := append(in.errors, check(sources)...).Sorted(); err != nil {
		return nil, warnings, err
	}
	p, err := merge(ctx, o, found, sources, name)
	if err != nil {
		return nil, warnings, err
	}
	if err := validate(p).Sorted(); err != nil {
		return nil, warnings, err
	}
	return p, append(warnings, obsolete(sources)...), nil
}

// obsolete warns about "version", which has had no effect for years.
func obsolete(sources []*source) []Warning {
	var out []Warning
	for _, s := range sources {
		if e, n := s.find([]string{"version"}); n == 1 {
			at := Position{s.file, e.key.Line, e.key.Column}
			out = append(out, Warning{at, "version has no effect any more; remove the line"})
		}
	}
	return out
}
