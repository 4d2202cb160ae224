package project

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// assembler is phases 2 to 5: it reads files, each with those that it includes and extends, into one tree.
type assembler struct {
	ctx       context.Context
	options   Options
	found     *found
	in        *interpolator
	remote    map[string]remote   // what was fetched, by address
	scopes    map[string][]*scope // by directory
	chain     []link              // the service that is being extended, and those that extend it
	bytes     int                 // of all files
	values    int                 // see maxValues
	readings  map[readingKey]*reading
	included  map[string]*tree.Value
	sources   []*source
	paths     []string // of all files, in the order in which they were read
	warnings  []Warning
	errors    Errors
	conflicts Errors // of merging; they may only follow from the errors
}

// scope is what files are read in: those of the command line have one, and so have those of each include.
type scope struct {
	dir  string // where relative paths begin
	vars variables.Env
	env  map[string]string // the same without the origins
	root string            // of the remote resource that they are of, or ""
}

type readingKey struct {
	path  string
	scope *scope
}

// reading is a file as it is read in a scope. A file may be read in several, and be in the project as often.
type reading struct {
	path      string
	real      string // the path without links
	scope     *scope
	file      *tree.File
	sources   []*source // one for each document
	broken    bool      // some documents, or what they include, could not be read, and are missing
	documents []document
	family    *family // its services for those that extend them from other files
}

// document is one of a file's documents as a tree in its long form.
type document struct {
	root   *tree.Value
	tagged bool // it has the tags "!reset" or "!override"
}

func newAssembler(ctx context.Context, o Options, f *found) *assembler {
	return &assembler{
		ctx: ctx, options: o, found: f, in: newInterpolator(o), warnings: f.warnings,
		remote:   make(map[string]remote),
		scopes:   make(map[string][]*scope),
		readings: make(map[readingKey]*reading),
		included: make(map[string]*tree.Value),
	}
}

// assemble makes one tree of the files of the command line. Their variables may use the project's name, which they may state.
func (a *assembler) assemble() (*tree.Value, string, error) {
	readings, err := a.parseMain()
	if err != nil {
		return nil, "", err
	}
	name, err := a.name(readings)
	if err != nil {
		return nil, "", err
	}
	a.found.setName(name, nil)
	root := a.together(readings, nil)
	if a.ctx.Err() != nil { // what could not be read is not the files' fault
		return nil, "", context.Cause(a.ctx)
	}
	if a.fewEnough(root) {
		a.confine(root)
	}
	a.warnings = append(a.warnings, a.in.warnings...)
	a.errors = slices.DeleteFunc(a.errors, func(e *Error) bool { return e.completedIn(root) })
	if err := append(a.errors, a.in.errors...).Sorted(); err != nil {
		return nil, "", err
	}
	return root, name, a.conflicts.Sorted()
}

// parseMain parses the files of the command line.
func (a *assembler) parseMain() ([]*reading, error) {
	files := make([]target, len(a.found.files))
	for i, address := range a.found.files {
		var err error
		if files[i], err = a.commandLine(address); err != nil {
			return nil, err
		}
	}
	main := a.scope(a.found.dir, a.found.vars, "")
	main.env = a.found.env
	readings := make([]*reading, len(files))
	for i, f := range files {
		sc := main
		if f.root != "" {
			sc = &scope{dir: main.dir, vars: main.vars, env: main.env, root: f.root}
		}
		r, err := a.parse(f, sc, nil)
		if err != nil {
			return nil, fmt.Errorf("cannot read the compose file: %w", err)
		}
		readings[i] = r
	}
	return readings, a.checkParsed(readings)
}

// completedIn says whether what is missing in one file is there in the whole, or is no part of it. Of extends, nothing is.
func (e *Error) completedIn(root *tree.Value) bool {
	if len(e.lacking) < 2 || e.lacking[len(e.lacking)-2] == "extends" {
		return false
	}
	_, n := root.Find(e.lacking...)
	return n != len(e.lacking)-1
}

// checkParsed says whether there is something to go on with.
func (a *assembler) checkParsed(readings []*reading) error {
	if err := a.errors.Sorted(); err != nil {
		return err
	}
	if !slices.ContainsFunc(readings, func(r *reading) bool { return len(r.sources) > 0 }) {
		return Errors{{Position: Position{readings[0].file.Name, 1, 1}, Rule: "empty-file", Problem: "the file is empty", Fix: "begin with services:"}}
	}
	return nil
}

// scope returns the scope of that directory and those variables. The same ones are one scope, so that a file that comes in
// on several ways is read once.
func (a *assembler) scope(dir string, vars variables.Env, root string) *scope {
	for _, sc := range a.scopes[dir] {
		if sc.root == root && maps.Equal(sc.vars, vars) {
			return sc
		}
	}
	sc := &scope{dir: dir, vars: vars, env: vars.Values(), root: root}
	a.scopes[dir] = append(a.scopes[dir], sc)
	return sc
}

// parse is phase 2 for a file that was not read in the scope before. What cannot be read is the error; what cannot be
// parsed is left out and recorded.
func (a *assembler) parse(t target, sc *scope, via *tree.Reference) (*reading, error) {
	key := readingKey{t.path, sc}
	if r := a.readings[key]; r != nil {
		return r, nil
	}
	content, ok, err := a.content(t)
	if err != nil {
		return nil, err
	}
	r := &reading{path: t.path, real: RealPath(t.path), scope: sc, file: &tree.File{Name: t.name, Dir: sc.dir, Root: sc.root, Env: sc.env, Via: via}}
	a.readings[key] = r
	a.paths = append(a.paths, t.path)
	sources, errs := parseFile(r.file, content)
	for _, s := range sources {
		s.vars = sc.vars
	}
	r.sources, r.broken = sources, !ok || len(errs) > 0
	a.sources = append(a.sources, sources...)
	a.errors = append(a.errors, errs...)
	return r, nil
}

// finish is phases 3 and 4 for a file, and makes its trees.
func (a *assembler) finish(r *reading) {
	if r.documents != nil {
		return
	}
	r.documents = make([]document, len(r.sources))
	for i, s := range r.sources {
		r.documents[i].root = tree.NewMap(tree.Place{File: r.file, Line: s.root.Line, Col: s.root.Column})
		if !a.grow(s.size, r.documents[i].root.Place) {
			continue
		}
		if !a.options.NoInterpolate {
			a.in.fill(s)
		}
		s.detach()
		errs, warnings := check([]*source{s})
		a.errors = append(a.errors, errs...)
		a.warnings = slices.Concat(a.warnings, warnings, s.obsolete())
		root, tagged := merge.FromNode(s.root, r.file, s.filling)
		if !a.grow(ranges(root), r.documents[i].root.Place) {
			continue
		}
		model.Canonical(root)
		merge.Unique(root)
		r.documents[i] = document{root, tagged}
	}
}

// together merges the files in their order. Of each document the includes come first, so that services can extend what
// they bring, then the extends. The stack is the files that are being included.
func (a *assembler) together(readings []*reading, stack []*reading) *tree.Value {
	root := tree.NewMap(tree.Place{})
	for _, r := range readings {
		a.finish(r)
		stack := append(stack[:len(stack):len(stack)], r)
		for _, d := range r.documents {
			over := a.extend(a.include(d.root, r, stack), r)
			merged, errs := merge.Files(root, over)
			a.conflict(errs)
			if root = merged; d.tagged {
				root = merge.Clean(root)
			}
		}
	}
	return root
}

func (a *assembler) conflict(errs []merge.Error) {
	for _, e := range errs {
		a.conflicts = append(a.conflicts, mistakeAt(a.sources, e.Place, "wrong-type", e.Problem, ""))
	}
}

func (a *assembler) fail(rule string, at tree.Place, problem, fix string) {
	a.errors = append(a.errors, mistakeAt(a.sources, at, rule, problem, fix))
}
