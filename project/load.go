package project

import (
	"context"
)

// Load finds, reads and checks a project. The warnings are valid also when there is an error. The error is an Errors when
// the user's files are at fault, and matches ErrNoFile when there is no Compose file.
func Load(ctx context.Context, o Options) (*Project, []Warning, error) {
	found, err := findUnless(ctx, o)
	if err != nil {
		return nil, found.warnings, err
	}
	a := newAssembler(ctx, o, found)
	root, name, err := a.assemble()
	if err != nil {
		return nil, a.warnings, err
	}
	p := &Project{
		Files: found.shownFiles(), Dir: found.dir, Env: found.env,
		options: o, name: name, profiles: profiles(o, found.env), vars: found.vars, root: root, sources: a.sources, paths: append(a.paths, found.envFiles...),
	}
	notices, err := await(ctx, p.build)
	a.warnings = append(a.warnings, notices...)
	if err != nil {
		return nil, a.warnings, err
	}
	if !o.NoConsistency {
		mistakes, notices := validate(p)
		a.warnings = append(a.warnings, notices...)
		if err := mistakes.Sorted(); err != nil {
			return nil, a.warnings, err
		}
	}
	return p, a.warnings, nil
}

// findUnless is find, unless the context ends.
func findUnless(ctx context.Context, o Options) (*found, error) {
	f, err := await(ctx, func() (*found, error) { return find(o) })
	if f == nil {
		f = &found{}
	}
	return f, err
}
