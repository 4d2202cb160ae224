package merge

import (
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
)

// Mappings that merge each other in a chain are not made again for each link of it: a few KiB of text must not take minutes.
func TestChainOfMerges(t *testing.T) {
	const links = 100
	var text strings.Builder
	text.WriteString("x-0: &m0 {k0: first}\n")
	for i := 1; i < links; i++ {
		fmt.Fprintf(&text, "x-%d: &m%d\n  <<: *m%d\n  k%d: v\n", i, i, i-1, i)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text.String()), &doc); err != nil {
		t.Fatal(err)
	}
	var root *tree.Value
	made := testing.AllocsPerRun(1, func() {
		root, _ = FromNode(doc.Content[0], nil, func(*yaml.Node) (string, []tree.Use) { return "", nil })
	})
	last := root.Get(fmt.Sprintf("x-%d", links-1))
	if last.Len() != links || last.Get("k0").Or("") != "first" {
		t.Errorf("the last mapping has %d keys, and k0 is %q", last.Len(), last.Get("k0").Or(""))
	}
	if most := 50.0 * links; made > most {
		t.Errorf("%.0f allocations, more than %.0f: mappings are made for each link of the chain", made, most)
	}
}

// What is merged comes in the order in which it is written, and the first one wins.
func TestMergesWithinMerges(t *testing.T) {
	const text = `
x-deep: &deep {a: deep, b: deep, c: deep, d: deep}
x-one: &one {<<: *deep, b: one}
x-two: &two {b: two, c: two, e: two}
all: {a: own, <<: [*one, *two]}
`
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	root, _ := FromNode(doc.Content[0], nil, func(*yaml.Node) (string, []tree.Use) { return "", nil })
	want := map[string]string{"a": "own", "b": "one", "c": "deep", "d": "deep", "e": "two"}
	all := root.Get("all")
	for key, value := range want {
		if got := all.Get(key).Or(""); got != value {
			t.Errorf("%s is %q, not %q", key, got, value)
		}
	}
	if all.Len() != len(want) {
		t.Errorf("%d keys, not %d", all.Len(), len(want))
	}
}
