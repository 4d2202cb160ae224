package desired

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"
)

// A file of testdata/attributes proves some attributes of the Compose specification. It is an archive:
//
//	what these attributes mean, in the specification and in the Engine API
//	-- base --
//	a Compose file, the project "x"
//	-- file name --
//	a further file of the project
//	-- services.<name>.cpus --
//	    cpus: 0.5
//	---
//	    cpus: "0.5"
//	-- outcome --
//	+ Services.web.Containers.1.HostConfig.NanoCpus: 500000000
//
// Each section named by an attribute has forms of it, separated by "---". A form is added to the end of the base. A form
// titled "--- without" is not tested; it is added to the base for this section, and the others take its place. All forms
// of a section must come to the same outcome: the lines in which the desired state differs from that of the base, with
// what is warned about; or the errors, one form after the other.
//
// Lines beginning with "# " at the top of a section say where else to look:
//
//	# rules     the difference is that of the rules about changed files, package watch/rules
//	# model     the difference is that of the loaded model; the desired state does not show it
//	# warning   the effect is the warning
//	# refused   of an attribute that is done, these values are refused
//	# allowed   of an attribute that is refused, these values are taken, since they ask for nothing
//	# test P.T  the test T in the folder P of this module shows the rest of the effect
type caseFile struct {
	path    string
	archive *txtar.Archive
	base    string
	files   []txtar.File
	cases   []*attributeCase
}

// attributeCase is one section.
type attributeCase struct {
	attribute string
	without   string   // what the forms take the place of
	forms     []string // what is added to the base
	looks     []string // "rules", "model", "warning", "refused", "allowed"
	tests     []string // "watch.TestName"
	want      string
}

func (c *attributeCase) looksAt(what string) bool { return slices.Contains(c.looks, what) }

const casesFolder = "testdata/attributes"

func caseFiles(t *testing.T) []*caseFile {
	t.Helper()
	paths, err := filepath.Glob(casesFolder + "/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases")
	}
	var out []*caseFile
	for _, path := range paths {
		out = append(out, parseCases(t, path))
	}
	return out
}

func parseCases(t *testing.T, path string) *caseFile {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &caseFile{path: path, archive: archive}
	for _, part := range archive.Files {
		name, isFile := strings.CutPrefix(part.Name, "file ")
		switch {
		case isFile:
			f.files = append(f.files, txtar.File{Name: name, Data: part.Data})
		case part.Name == "base":
			f.base = string(part.Data)
		case part.Name == "outcome" && len(f.cases) > 0:
			f.cases[len(f.cases)-1].want = string(part.Data)
		default:
			f.cases = append(f.cases, parseCase(part.Name, string(part.Data)))
		}
	}
	return f
}

func parseCase(attribute, text string) *attributeCase {
	c := &attributeCase{attribute: attribute}
	var form strings.Builder
	without := false
	end := func() {
		if without {
			c.without = form.String()
		} else if form.Len() > 0 {
			c.forms = append(c.forms, form.String())
		}
		form.Reset()
	}
	for line := range strings.Lines(text) {
		note, isNote := strings.CutPrefix(strings.TrimSpace(line), "# ")
		title, isEnd := strings.CutPrefix(line, "---")
		switch {
		case isEnd:
			end()
			without = strings.TrimSpace(title) == "without"
		case isNote && len(c.forms) == 0 && form.Len() == 0:
			if name, isTest := strings.CutPrefix(note, "test "); isTest {
				c.tests = append(c.tests, name)
			} else {
				c.looks = append(c.looks, note)
			}
		default:
			form.WriteString(line)
		}
	}
	end()
	return c
}

// write puts the outcomes into the file, each after its section.
func (f *caseFile) write(outcomes []string) []byte {
	out := &txtar.Archive{Comment: f.archive.Comment}
	next := 0
	for _, part := range f.archive.Files {
		switch {
		case part.Name == "outcome":
		case part.Name == "base" || strings.HasPrefix(part.Name, "file "):
			out.Files = append(out.Files, part)
		default:
			out.Files = append(out.Files, part, txtar.File{Name: "outcome", Data: []byte(outcomes[next])})
			next++
		}
	}
	return txtar.Format(out)
}

// typesAt are the types that the text has at the attribute.
func typesAt(t *testing.T, text, attribute string) []string {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if len(root.Content) == 0 {
		return nil
	}
	at := root.Content
	for step := range strings.SplitSeq(strings.ReplaceAll(attribute, "[]", ".[]"), ".") {
		at = below(at, step)
	}
	var types []string
	for _, n := range at {
		types = append(types, jsonTypes(n)...)
	}
	return types
}

// below takes the step from each of the nodes.
func below(nodes []*yaml.Node, step string) []*yaml.Node {
	var out []*yaml.Node
	for _, n := range nodes {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		switch {
		case step == "[]" && n.Kind == yaml.SequenceNode:
			out = append(out, n.Content...)
		case step != "[]" && n.Kind == yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				if step == "<name>" || n.Content[i].Value == step {
					out = append(out, n.Content[i+1])
				}
			}
		}
	}
	return out
}

func jsonTypes(n *yaml.Node) []string {
	switch n.Kind {
	case yaml.SequenceNode:
		return []string{"array"}
	case yaml.MappingNode:
		return []string{"object"}
	}
	switch n.Tag {
	case "!!int":
		return []string{"integer", "number"}
	case "!!float":
		return []string{"number"}
	case "!!bool":
		return []string{"boolean"}
	case "!!null":
		return []string{"null"}
	}
	return []string{"string"}
}
