package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/explain"
	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

var update = flag.Bool("update", false, "rewrite the golden answers in testdata")

// Each archive in testdata begins with lines that say what to do:
//
//	env NAME=value                        a variable of the environment
//	file NAME                             merge the file over those before it
//	file NAME included NAME:LINE:COL      import it from that place
//	explain PATH
//
// The last file, "want", is the answer.
func TestExplain(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no test data: ", err)
	}
	for _, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			last := &archive.Files[len(archive.Files)-1]
			got := newScript(t, archive).run(string(archive.Comment))
			if *update {
				last.Data = got
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, last.Data) {
				t.Errorf("got\n%s\nwant\n%s", got, last.Data)
			}
		})
	}
}

type script struct {
	*testing.T
	dir   string
	env   variables.Env
	files map[string]*tree.File
	root  *tree.Value
	out   bytes.Buffer
}

func newScript(t *testing.T, archive *txtar.Archive) *script {
	s := &script{T: t, dir: t.TempDir(), env: make(variables.Env), files: make(map[string]*tree.File)}
	for _, f := range archive.Files[:len(archive.Files)-1] {
		if err := os.WriteFile(filepath.Join(s.dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *script) run(commands string) []byte {
	for line := range strings.Lines(commands) {
		switch words := strings.Fields(line); words[0] {
		case "env":
			name, value, _ := strings.Cut(words[1], "=")
			s.env[name] = variables.Var{Value: value, Origin: variables.Environment}
		case "file":
			s.merge(words[1:])
		case "explain":
			s.explain(words[1])
		default:
			s.Fatal("unknown command ", line)
		}
	}
	return bytes.ReplaceAll(s.out.Bytes(), []byte(s.dir), []byte("/p"))
}

// merge does what the loader does with one more file.
func (s *script) merge(words []string) {
	f := &tree.File{Name: filepath.Join(s.dir, words[0]), Dir: s.dir, Env: s.env.Values()}
	s.files[words[0]] = f
	content, err := os.ReadFile(f.Name)
	if err != nil {
		s.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		s.Fatal(err)
	}
	raws, uses := make(map[*yaml.Node]string), make(map[*yaml.Node][]tree.Use)
	s.fill(doc.Content[0], raws, uses)
	root, _ := merge.FromNode(doc.Content[0], f, func(n *yaml.Node) (string, []tree.Use) { return raws[n], uses[n] })
	model.Canonical(root)
	var errs []merge.Error
	switch {
	case s.root == nil:
		s.root = root
	case len(words) == 3:
		at := strings.Split(words[2], ":")
		line, _ := strconv.Atoi(at[1])
		col, _ := strconv.Atoi(at[2])
		f.Via = &tree.Reference{Place: tree.Place{File: s.files[at[0]], Line: line, Col: col}, Kind: words[1]}
		s.root, errs = merge.Imported(s.root, root)
	default:
		s.root, errs = merge.Files(s.root, root)
	}
	if len(errs) > 0 {
		s.Fatal(errs)
	}
}

// fill replaces the variables in the nodes.
func (s *script) fill(n *yaml.Node, raws map[*yaml.Node]string, uses map[*yaml.Node][]tree.Use) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$") {
		x, err := variables.Expand(n.Value, s.env.Lookup, 1000)
		if err != nil {
			s.Fatal(err)
		}
		raws[n] = n.Value
		for _, u := range x.Uses {
			v, set := s.env[u.Name]
			uses[n] = append(uses[n], tree.Use{Name: u.Name, Value: v.Value, Set: set, Origin: v.Origin})
		}
		n.Value = x.Text
	}
	for _, c := range n.Content {
		s.fill(c, raws, uses)
	}
}

func (s *script) explain(path string) {
	p, errs := model.Build(merge.Clean(s.root), model.Options{Name: "p", Dir: s.dir, Env: s.env.Values()})
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	text, err := json.Marshal(p)
	if err != nil {
		s.Fatal(err)
	}
	var plain any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		s.Fatal(err)
	}
	list, nothing := explain.Explain(s.root, plain, s.env.Lookup, []string{path})
	for _, path := range nothing {
		s.out.WriteString("nothing at " + path + "\n")
	}
	e := json.NewEncoder(&s.out)
	e.SetEscapeHTML(false)
	for _, x := range list {
		if err := e.Encode(x); err != nil {
			s.Fatal(err)
		}
	}
}
