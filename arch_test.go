package stack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "stackrun.dev/stack/"

// rule says what the packages of a folder may import from this module, beside the folder itself and what is below it.
// The first rule whose folder fits counts.
type rule struct {
	folder string   // a folder and all below it; ending in "/*": each folder in it by itself; ending in "/": it alone
	may    []string // folders of this module; a trailing "/..." means all below it too
	never  []string // packages of the standard library that would make it impure
}

var impure = []string{"context", "os", "net", "math/rand", "math/rand/v2", "crypto/rand"}

var rules = []rule{
	{folder: "cmd/stack", may: []string{"project/...", "convergence/...", "engine", "engine/docker", "engine/dockerapi", "engine/embedded", "engine/memory", "engine/readonly", "watch/...", "internal/..."}},
	{folder: "project/lint", may: []string{"project", "project/internal/grammar"}},
	{folder: "project", may: []string{"internal/dag"}},
	{folder: "convergence/desired", may: []string{"project/...", "engine", "convergence/...", "internal/dag"}, never: impure},
	{folder: "convergence/plan", may: []string{"project/...", "engine", "convergence/...", "internal/dag"}, never: impure},
	{folder: "convergence/sim", may: []string{"project/...", "engine", "engine/memory", "convergence/...", "internal/dag"}},
	{folder: "convergence/execute", may: []string{"project/...", "engine", "convergence/...", "internal/..."}},
	{folder: "convergence", may: []string{"project/...", "engine", "convergence/...", "internal/dag"}},
	{folder: "engine/embedded/build", may: []string{"engine", "engine/embedded/image", "engine/embedded/snapshot", "internal/buildkit"}},
	{folder: "engine/embedded/image", may: []string{"engine", "engine/embedded/snapshot"}},
	{folder: "engine/embedded/runtime", may: []string{"engine", "engine/embedded/shim/protocol/..."}},
	{folder: "engine/embedded/shim/stack-shim", may: []string{"engine/embedded/shim/...", "engine/embedded/logs"}},
	{folder: "engine/embedded/", may: []string{"engine", "engine/embedded/..."}},
	{folder: "engine/embedded/*", may: []string{"engine"}},
	{folder: "engine/", may: nil},
	{folder: "engine/*", may: []string{"engine"}},
	{folder: "watch", may: []string{"project"}},
	{folder: "internal/buildkit", may: []string{"engine"}},
	{folder: "internal/dag", may: nil},
}

// covers says whether the rule is about the folder, and which folder it then counts as its own.
func (r *rule) covers(folder string) (own string, ok bool) {
	switch parent, kind := strings.TrimRight(r.folder, "/*"), r.folder[strings.LastIndexByte(r.folder, '/')+1:]; {
	case kind == "*":
		rest, below := strings.CutPrefix(folder, parent+"/")
		part, _, _ := strings.Cut(rest, "/")
		return parent + "/" + part, below
	case kind == "":
		return folder, folder == parent
	default:
		return parent, within(folder, parent)
	}
}

func (r *rule) allows(to, own string) bool {
	if r.folder == own && within(to, own) || to == own || strings.HasSuffix(r.folder, "/*") && within(to, own) {
		return true
	}
	return slices.ContainsFunc(r.may, func(m string) bool {
		root, all := strings.CutSuffix(m, "/...")
		return to == root || all && within(to, root)
	})
}

// TestImports holds the layout: data flows from the project over the desired state and the plan to an engine, and the
// parts of the embedded engine know nothing of each other.
func TestImports(t *testing.T) {
	for file, imports := range sources(t) {
		r, own := ruleFor(filepath.ToSlash(filepath.Dir(file)))
		if r == nil {
			continue
		}
		for _, path := range imports {
			if slices.Contains(r.never, path) {
				t.Errorf("%s imports %s: %s holds pure functions", file, path, own)
			}
			if to, ours := strings.CutPrefix(path, module); ours && !r.allows(to, own) {
				t.Errorf("%s imports %s, which is not for %s", file, to, own)
			}
		}
	}
}

// TestRules keeps the rules themselves from going slack.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"cmd/stack", "convergence/plan", true},
		{"cmd/stack/internal/view", "cmd/stack/internal/launch", true},
		{"cmd/stack", "engine/embedded/image", false},
		{"project/positions", "project", true},
		{"project", "engine", false},
		{"project/lint", "project", true},
		{"project/lint", "project/internal/tree", false},
		{"convergence/plan", "convergence/state", true},
		{"convergence/plan", "engine/docker", false},
		{"convergence", "engine/memory", false},
		{"engine", "engine/memory", false},
		{"engine/memory", "engine", true},
		{"engine/memory", "engine/docker", false},
		{"engine/embedded", "engine/embedded/network", true},
		{"engine/embedded", "engine/docker", false},
		{"engine/embedded/network/nft", "engine/embedded/network", true},
		{"engine/embedded/network", "engine/embedded/network/nft", true},
		{"engine/embedded/network", "engine/embedded/volume", false},
		{"engine/embedded/network", "engine/embedded", false},
		{"engine/embedded/runtime", "engine/embedded/shim/protocol", true},
		{"engine/embedded/runtime", "engine/embedded/shim", false},
	} {
		r, own := ruleFor(c.from)
		if got := r.allows(c.to, own); got != c.want {
			t.Errorf("%s may import %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestFsnotify: one package knows how a machine reports file events.
func TestFsnotify(t *testing.T) {
	for file, imports := range sources(t) {
		if slices.Contains(imports, "github.com/fsnotify/fsnotify") && !strings.HasPrefix(file, "watch/fsnotify/") {
			t.Errorf("%s imports fsnotify, which only watch/fsnotify does", file)
		}
	}
}

// TestPackageComments: each package says once what it is for.
func TestPackageComments(t *testing.T) {
	comments := map[string]int{}
	walk(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(path)
		comments[folder] += 0
		if f.Doc != nil && !directiveOnly(f.Doc) {
			comments[folder]++
		}
	})
	for folder, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want one", folder, n)
		}
	}
}

func directiveOnly(doc *ast.CommentGroup) bool { return strings.TrimSpace(doc.Text()) == "" }

func ruleFor(folder string) (*rule, string) {
	for i := range rules {
		if own, ok := rules[i].covers(folder); ok {
			return &rules[i], own
		}
	}
	return nil, ""
}

func within(folder, root string) bool { return folder == root || strings.HasPrefix(folder, root+"/") }

// sources maps each Go file that is not a test to what it imports.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	walk(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			out[filepath.ToSlash(path)] = append(out[filepath.ToSlash(path)], p)
		}
	})
	return out
}

func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "examples" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
