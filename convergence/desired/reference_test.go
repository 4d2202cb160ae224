package desired

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// proofs are the case files and further tests of each attribute.
type proofs map[string][]string

func allProofs(t *testing.T) proofs {
	out := make(proofs)
	for _, f := range caseFiles(t) {
		name := strings.TrimSuffix(filepath.Base(f.path), ".txtar")
		link := fmt.Sprintf("[TestAttributes/%s](../convergence/desired/%s)", name, f.path)
		for _, c := range f.cases {
			for _, proof := range append([]string{link}, c.tests...) {
				if !slices.Contains(out[c.attribute], proof) {
					out[c.attribute] = append(out[c.attribute], proof)
				}
			}
		}
	}
	return out
}

// Every attribute of the specification has a decision and a case in every type that it may have; no case is about anything
// else.
func TestEveryAttributeIsProven(t *testing.T) {
	types := make(map[string][]string)
	for _, f := range caseFiles(t) {
		for _, c := range f.cases {
			types[c.attribute] = append(types[c.attribute], "case")
			for _, form := range c.forms {
				types[c.attribute] = append(types[c.attribute], typesAt(t, f.base+form, c.attribute)...)
			}
		}
	}
	for _, r := range specification(t) {
		if s := supportOf(r.attribute); s.State == "" || s.State != Done && s.Reason == "" {
			t.Errorf("%s is %q: %q", r.attribute, s.State, s.Reason)
		}
		if len(types[r.attribute]) == 0 {
			t.Errorf("%s has no case", r.attribute)
		}
		for _, typ := range r.types {
			if len(types[r.attribute]) > 0 && !slices.Contains(types[r.attribute], typ) {
				t.Errorf("%s has no case in which it is of type %s", r.attribute, typ)
			}
		}
		delete(types, r.attribute)
	}
	for _, attribute := range sortedKeys(types) {
		t.Errorf("%s has a case and is not in the specification", attribute)
	}
}

const pageHead = `# Compose support

Made from the program by ` + "`make docs`" + `: every attribute of the [Compose specification](https://github.com/compose-spec/compose-spec), what is done with it, and what proves it.

- **done**: it is carried out. What the engine at hand cannot do, it says when the container is made; a remark names what the embedded engine has not.
- **read**: it is kept in the model and printed by ` + "`stack config`" + `, and it takes effect on a cluster of machines. On one machine it has no meaning, or the engine
  has nothing that corresponds; a warning with file, line and column says so.
- **refused**: an error with file, line and column, that gives this reason.

What is not listed is refused as unknown. ` + "`<name>`" + ` stands for any name, ` + "`[]`" + ` for any element. The container of a ` + "`pre_start`" + ` hook has the attributes of a
service; they are not repeated here.

The proof is a file of cases: for each type that the attribute may have, a Compose file with it, and the lines in which what the engine is asked for then differs (of develop:
the rules about changed files), or the error. ` + "`go test ./convergence/desired -run TestAttributes`" + ` runs them; a row without a case fails. Where more tests are named, they show what becomes of it later.
That the embedded engine refuses what the remarks say is shown by TestEmbeddedEngineHasNot in test/e2e.

What the specification has no words for stands below ` + "`x-stack`" + `: see [x-stack](reference/x-stack.md). Unknown keys are refused.

`

// The page says what the table says, and where it is proven.
func TestAttributesAreDocumented(t *testing.T) {
	const path = "../../docs/compose-support.md"
	page := supportPage(t)
	if *update {
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Errorf("%s is out of date; renew it with: make docs", path)
	}
}

func supportPage(t *testing.T) []byte {
	rows, proven := specification(t), allProofs(t)
	var page bytes.Buffer
	page.WriteString(pageHead)
	counts := make(map[State]int)
	for _, r := range rows {
		counts[supportOf(r.attribute).State]++
	}
	fmt.Fprintf(&page, "%d attributes: %d done, %d read, %d refused.\n", len(rows), counts[Done], counts[Read], counts[Refused])
	section := ""
	for _, r := range rows {
		if top, _, _ := strings.Cut(r.attribute, "."); strings.TrimSuffix(top, "[]") != section {
			section = strings.TrimSuffix(top, "[]")
			fmt.Fprintf(&page, "\n## %s\n\n| attribute | types | state | proof |\n|---|---|---|---|\n", section)
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", r.attribute, strings.Join(r.types, ", "), stateText(supportOf(r.attribute)),
			strings.Join(proven[r.attribute], ", "))
	}
	page.WriteString("\n## Not in the specification\n\nThe model can hold these; files with them are refused.\n\n| attribute | reason |\n|---|---|\n")
	for _, s := range Table() {
		if s.State == Refused && !slices.ContainsFunc(rows, func(r row) bool { return r.attribute == s.Attribute }) {
			fmt.Fprintf(&page, "| `%s` | %s |\n", s.Attribute, s.Reason)
		}
	}
	return page.Bytes()
}

func stateText(s Support) string {
	text := cmp.Or(string(s.State), "undecided")
	switch {
	case s.Reason == "":
		return text
	case s.State == Done:
		return text + "; " + s.Reason
	}
	return text + ": " + s.Reason
}
