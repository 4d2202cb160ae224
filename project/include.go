package project

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// include returns the document with what it includes. What the document itself says about a resource wins.
func (a *assembler) include(doc *tree.Value, from *reading, stack []*reading) *tree.Value {
	list := doc.Get("include")
	if list == nil {
		return doc
	}
	for _, item := range list.Items {
		included := a.includeOne(item, from, stack)
		if included == nil {
			from.broken = true
			continue
		}
		a.clashes(doc, included, from)
		merged, errs := merge.Imported(doc, included)
		a.conflict(errs)
		doc = merged
	}
	return without(doc, "include")
}

// without is a mapping without the key.
func without(v *tree.Value, key string) *tree.Value {
	out := v.Copy()
	out.Entries = slices.DeleteFunc(slices.Clone(v.Entries), func(e tree.Entry) bool { return e.Key == key })
	return out
}

// includeOne reads the files of one entry, which are merged. It returns nil if they cannot be read.
func (a *assembler) includeOne(item *tree.Value, from *reading, stack []*reading) *tree.Value {
	paths := some(item.Get("path"))
	targets := make([]target, len(paths))
	for i, path := range paths {
		t, ok := a.named(path)
		if !ok || a.includesItself(t, path, stack) {
			return nil
		}
		targets[i] = t
	}
	if len(targets) == 0 {
		return nil
	}
	sc, ok := a.includeScope(item, targets[0], from)
	if !ok {
		return nil
	}
	key := fmt.Sprintf("%p", sc)
	readings := make([]*reading, len(targets))
	for i, t := range targets {
		r, err := a.parse(t, sc, &tree.Reference{Place: paths[i].Place, Kind: "included"})
		if err != nil {
			a.fail("missing-file", paths[i].Place, unread("the included file", paths[i].Text, err), "")
			return nil
		}
		readings[i] = r
		key += "\x00" + t.path
	}
	if known, ok := a.included[key]; ok {
		return known
	}
	a.included[key] = withContexts(a.together(readings, stack))
	return a.included[key]
}

// withContexts gives the builds of included services that have no context the included file's directory, which they would
// lose if the including file had something to say about them.
func withContexts(root *tree.Value) *tree.Value {
	for _, section := range []string{"services", "jobs"} {
		for _, e := range entries(root.Get(section)) {
			build := e.Value.Get("build")
			if build == nil || build.Kind != tree.Map || build.Entry("context") != nil {
				continue
			}
			here := tree.NewText(".", build.Place)
			root = with(root, here, section, e.Key, "build", "context")
		}
	}
	return root
}

// with is a mapping with the value at the path.
func with(v, value *tree.Value, path ...string) *tree.Value {
	if len(path) == 0 {
		return value
	}
	out := v.Copy()
	out.Entries = slices.Clone(v.Entries)
	out.Set(path[0], value.Place, with(v.Get(path[0]), value, path[1:]...))
	return out
}

// some are the values where one or a list of them may be written.
func some(v *tree.Value) []*tree.Value {
	if v.Scalar() {
		return []*tree.Value{v}
	}
	return items(v)
}

// includesItself reports a file that is included by what it includes, with the files on the way.
func (a *assembler) includesItself(t target, at *tree.Value, stack []*reading) bool {
	if len(stack) > maxIncludes {
		a.fail(variables.RuleLimit, at.Place, fmt.Sprintf("files are included more than %d levels deep, the most that is followed", maxIncludes), "")
		return true
	}
	file := RealPath(t.path)
	i := slices.IndexFunc(stack, func(r *reading) bool { return r.real == file })
	if i < 0 {
		return false
	}
	var names []string
	for _, r := range stack[i:] {
		names = append(names, r.file.Name)
	}
	a.fail("cycle", at.Place, "the file includes itself: "+strings.Join(append(names, t.name), " → "), "remove one of the includes")
	return true
}

// includeScope is where the paths of the included files begin, and what their variables are replaced from: what the
// including file has, and under it the include's own env files.
func (a *assembler) includeScope(item *tree.Value, main target, from *reading) (*scope, bool) {
	dir := filepath.Dir(main.path)
	if own := item.Get("project_directory"); own.Scalar() && own.Text != "" {
		var ok bool
		if dir, ok = a.path(own); !ok {
			return nil, false
		}
	}
	files, ok := a.includeEnvFiles(item, dir)
	if !ok {
		return nil, false
	}
	if len(files) == 0 {
		return a.scope(dir, from.scope.vars, main.root), true
	}
	env := newEnvReader(nil, a.options.Strict)
	env.vars = from.scope.vars.Clone()
	if _, err := await(a.ctx, func() (any, error) { return nil, env.readFiles(files...) }); err != nil {
		a.fail("missing-file", item.Place, err.Error(), "")
		return nil, false
	}
	a.paths = append(a.paths, files...)
	a.warnings = append(a.warnings, env.warnings...)
	a.errors = append(a.errors, env.errors...)
	return a.scope(dir, env.vars, main.root), len(env.errors) == 0
}

// includeEnvFiles are the files that the entry names, or the .env of its directory. /dev/null stands for none.
func (a *assembler) includeEnvFiles(item *tree.Value, dir string) ([]string, bool) {
	named := some(item.Get("env_file"))
	if len(named) == 0 {
		file := filepath.Join(dir, ".env")
		return slices.DeleteFunc([]string{file}, func(string) bool { return !isFile(file) }), true
	}
	var out []string
	for _, v := range named {
		path, ok := a.path(v)
		switch {
		case !ok:
			return nil, false
		case path == "/dev/null":
		case !isFile(path):
			a.fail("missing-file", v.Place, fmt.Sprintf("the env file %s does not exist", path), "create it, or leave env_file out")
			return nil, false
		default:
			out = append(out, path)
		}
	}
	return out, true
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
