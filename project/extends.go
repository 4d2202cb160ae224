package project

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// family is services that may extend each other without naming a file: those of a document with what it includes, or
// those of a file that others extend.
type family struct {
	services *tree.Value
	reading  *reading
	done     map[string]*tree.Value
}

// extend returns the document with each service that extends another one merged over it.
func (a *assembler) extend(doc *tree.Value, r *reading) *tree.Value {
	for _, section := range []string{"services", "jobs"} {
		services := doc.Get(section)
		if services == nil || !slices.ContainsFunc(services.Entries, func(e tree.Entry) bool { return e.Value.Get("extends") != nil }) {
			continue
		}
		f := &family{services, r, make(map[string]*tree.Value)}
		extended := services.Copy()
		extended.Entries = slices.Clone(services.Entries)
		for i, e := range extended.Entries {
			extended.Entries[i].Value = a.extended(f, e.Key)
		}
		out := doc.Copy()
		out.Entries = slices.Clone(doc.Entries)
		out.Set(section, tree.Place{}, extended)
		doc = out
	}
	return doc
}

// link is a service on the way from one that extends to the last one that is extended.
type link struct{ file, service string }

// extended returns the service merged over what it extends, and that over what it extends in turn.
func (a *assembler) extended(f *family, name string) *tree.Value {
	service := f.services.Get(name)
	reference := service.Get("extends")
	if reference == nil {
		return service
	}
	if done, ok := f.done[name]; ok {
		return done
	}
	out := without(service, "extends")
	self := link{f.reading.file.Name, name}
	if a.endless(reference, self) {
		return out
	}
	a.chain = append(a.chain, self)
	base := a.base(f, name, reference)
	a.chain = a.chain[:len(a.chain)-1]
	if base != nil && base.Kind == tree.Map && a.grow(size(base, maxValues), reference.Place) {
		merged, errs := merge.Service(merge.Clean(base), out)
		a.conflict(errs)
		out = merged
	}
	f.done[name] = out
	return out
}

// endless reports a chain that comes back to a service or is too long, with the services on the way.
func (a *assembler) endless(at *tree.Value, self link) bool {
	i := slices.Index(a.chain, self)
	if i < 0 && len(a.chain) < maxExtends {
		return false
	}
	if i < 0 {
		a.fail(variables.RuleLimit, at.Place, fmt.Sprintf("more than %d services extend each other, the most that are followed", maxExtends), "")
		return true
	}
	var names []string
	last := a.chain[i].file
	for _, step := range append(slices.Clone(a.chain[i:]), self) {
		if step.file == last {
			names = append(names, step.service)
		} else {
			names = append(names, step.service+" of "+step.file)
		}
		last = step.file
	}
	a.fail("cycle", at.Place, fmt.Sprintf("service %s extends itself: %s", self.service, strings.Join(names, " → ")), "remove one of the extends")
	return true
}

// base is the service that another one extends, or nil if it cannot be found.
func (a *assembler) base(f *family, extending string, reference *tree.Value) *tree.Value {
	name := reference.Get("service")
	if !name.Scalar() {
		return nil
	}
	if file := reference.Get("file"); file.Scalar() {
		if f = a.relatives(file, extending, f.reading.scope); f == nil {
			return nil
		}
	}
	if f.services.Entry(a.text(name)) == nil {
		if !f.reading.broken {
			a.noService(f, name)
		}
		return nil
	}
	return a.extended(f, a.text(name))
}

func (a *assembler) noService(f *family, name *tree.Value) {
	var known []string
	for _, e := range entries(f.services) {
		known = append(known, e.Key)
	}
	a.fail("undefined-service", name.Place, fmt.Sprintf("cannot extend service %s: there is none in %s", name.Text, f.reading.file.Name), suggest(name.Text, known))
}

func entries(v *tree.Value) []tree.Entry {
	if v == nil {
		return nil
	}
	return v.Entries
}

// relatives are the services of the file that is extended from. What that file includes is no part of it.
func (a *assembler) relatives(file *tree.Value, extending string, sc *scope) *family {
	t, ok := a.named(file)
	if !ok {
		return nil
	}
	own := a.scope(filepath.Dir(t.path), sc.vars, t.root)
	r, err := a.parse(t, own, &tree.Reference{Place: file.Place, Kind: "extended", Service: extending})
	if err != nil {
		a.fail("missing-file", file.Place, unread("the extended file", file.Text, err), "")
		return nil
	}
	if r.family == nil {
		a.finish(r)
		root := tree.NewMap(tree.Place{})
		for _, d := range r.documents {
			merged, errs := merge.Files(root, d.root)
			a.conflict(errs)
			root = merged
		}
		r.family = &family{root.Get("services"), r, make(map[string]*tree.Value)}
	}
	return r.family
}
