package syntax

import (
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"quote at the end", "a:\n  b: \"nginx\n  c: [80]\n", "2:6: this quote is not closed"},
		{"quote before another", "a:\n  b: \"nginx\n  c: \"x\"\n", "2:6: this quote is not closed"},
		{"single quote", "a:\n  b: 'it's\n  c: 1\n", "2:10: there is text after the closing quote"},
		{"bracket", "a:\n  b: [80, 81\n  c: x\n", "2:6: this bracket is not closed"},
		{"bracket at the end", "a:\n  b: [80, 81\n", "2:6: this bracket is not closed"},
		{"brace", "a:\n  b: {x: 1\n  c: x\n", "2:6: this brace is not closed"},
		{"wrong bracket", "a: [1, 2}\n", "1:9: } cannot close the [ of line 1"},
		{"too many brackets", "a: [1]]\n", "1:7: there is text after the closing bracket"},
		{"comma", "a: [\"x\" \"y\"]\n", "1:9: a comma is missing before this"},
		{"text after quote", "a: \"x\" y\n", "1:8: there is text after the closing quote"},
		{"indentation", "a:\n    b: 1\n   c: 2\n", "3:4: the indentation of 3 spaces fits nothing above"},
		{"indentation of a list", "a:\n    - 1\n  - 2\n", "3:3: the indentation of 2 spaces fits nothing above"},
		{"too deep", "a:\n  b: x\n    c: y\n", "3:5: c is indented deeper than line 2, which has a value of its own"},
		{"second colon", "a:\n  b: c: d\n", "2:7: there is a second colon in the line"},
		{"no space", "a:\n  b: 1\n  image:nginx\n  c: 2\n", "3:8: a space is missing after the colon"},
		{"no colon", "a:\n  b: 1\n  image nginx\n  c: 2\n", "3:8: a colon is missing"},
		{"no colon, no value", "a:\n  b: 1\n  image\n  c: 2\n", "3:8: a colon is missing"},
		{"list after key", "a: - 1\n", "1:4: a list cannot begin in the line of its key"},
		{"list after value", "a: x\n- 1\n", "2:1: an item of a list cannot stand between the keys of a mapping"},
		{"list in mapping", "a:\n  b: 1\n  - c\n", "3:3: an item of a list cannot stand between the keys of a mapping"},
		{"key in list", "a:\n  - 1\n  b: 2\n", "3:3: a key cannot stand between the items of a list"},
		{"at", "a: @x\n", "1:4: a value cannot begin with @"},
		{"backtick", "a:\n  b: `x`\n", "2:6: a value cannot begin with `"},
		{"percent", "a:\n  b: %x\n", "2:6: a value cannot begin with %"},
		{"star", "a:\n  b: * * * * *\n", "2:6: a value cannot begin with *"},
		{"host with a star", "a: *.example.com\n", "1:4: a value cannot begin with *"},
		{"anchor", "x: &one 1\na:\n  b: *two\n", "3:6: the anchor two is not defined"},
		{"escape", "a: \"C:\\data\"\n", "1:7: \\d means nothing in double quotes"},
		{"tab", "a:\n\tb: 1\n", "2:1: a tab cannot be used to indent"},
		{"tab after spaces", "a:\n  \tb: 1\n  c: 1\n", "2:3: a tab cannot be used to indent"},
		{"control", "a: x\x01\n", "1:5: a control character, 0x01, cannot be in the file"},
		{"not UTF-8", "a: 1\nb: caf\xe9\n", "2:7: the byte 0xe9 is not UTF-8"},
		{"conflict", "a:\n<<<<<<< HEAD\n  b: 1\n=======\n  b: 2\n>>>>>>> other\n", "2:1: a merge conflict is not resolved"},
		{"tag", "a: !x!y z\n", "1:4: this tag is not known"},
		{"after a block of text", "a:\n  b: |\n    x: \"y\n    [\n  c: \"d\n", "5:6: this quote is not closed"},
		{"after a long plain value", "a:\n  b: x\n    y z\n  c: [\n", "4:6: this bracket is not closed"},
		{"windows lines", "a:\r\n  b: \"x\r\n  c: 1\r\n", "2:6: this quote is not closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n yaml.Node
			err := yaml.Unmarshal([]byte(c.text), &n)
			if err == nil {
				t.Fatal("the reader takes it")
			}
			f := Explain([]byte(c.text), err)
			if got := fmt.Sprintf("%d:%d: %s", f.Line, f.Col, f.Problem); got != c.want {
				t.Errorf("%s\n%v\ngot  %s\nwant %s", c.text, err, got, c.want)
			}
		})
	}
}

// FuzzExplain: no text makes it fail or point outside the text.
func FuzzExplain(f *testing.F) {
	for _, text := range []string{"a: [\n", "a: \"\n", "- a\nb: c", "a: |\n  x\n y", "'", "\t", "a:\n - - b\n  c: ]", "&", "*", "a: \"\\", "? a\n: b: c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n yaml.Node
		err := yaml.Unmarshal([]byte(text), &n)
		if err == nil {
			return
		}
		fault := Explain([]byte(text), err)
		lines := strings.Split(text, "\n")
		if fault.Line < 1 || fault.Line > len(lines) || fault.Col < 1 || fault.Col > len(lines[fault.Line-1])+1 || fault.Problem == "" {
			t.Errorf("%q: %+v", text, fault)
		}
	})
}
