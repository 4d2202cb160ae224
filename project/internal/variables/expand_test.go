package variables

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The rows are also held against compose-go.
var expansions = []struct{ text, want string }{
	{"plain", "plain"},
	{"$A", "1"},
	{"${A}", "1"},
	{"x${A}y$A.z", "x1y1.z"},
	{"$AB", ""},
	{"$A-B", "1-B"},
	{"$a", "lower"},
	{"$B_2", "two $A ${A}"},
	{"$$A", "$A"},
	{"$$$A", "$1"},
	{"$$${A}$$", "$1$"},
	{"$", "$"},
	{"a$", "a$"},
	{"$1 $- $( $", "$1 $- $( $"},
	{"$é", "$é"},
	{"${NO}", ""},

	{"${A:-d}", "1"}, {"${EMPTY:-d}", "d"}, {"${NO:-d}", "d"},
	{"${A-d}", "1"}, {"${EMPTY-d}", ""}, {"${NO-d}", "d"},
	{"${A:+r}", "r"}, {"${EMPTY:+r}", ""}, {"${NO:+r}", ""},
	{"${A+r}", "r"}, {"${EMPTY+r}", "r"}, {"${NO+r}", ""},
	{"${A:?e}", "1"}, {"${EMPTY?e}", ""}, {"${A?}", "1"},
	{"${NO:-}", ""}, {"${NO:+}", ""},

	{"${NO:-${A}}", "1"},
	{"${NO:-${NO:-${NO:-deep}}}", "deep"},
	{"${NO:-$A and $$A}", "1 and $A"},
	{"${A:+${NO:-x}${A}}", "x1"},
	{"${NO:-a:-b}", "a:-b"},
	{"${NO-a:?b}", "a:?b"},
	{"${NO:-{x}} y", "{x} y"},
	{"${NO:-{x} y", "{x y"},
	{`${NO:-{"a":"b"}} ${A}`, `{"a":"b"} 1`},
	{"${NO:-x} } ${A:-y} }", "x } 1 }"},
	{"${NO:-a b  c}", "a b  c"},
	{"${A:-x}\n${NO:-y}", "1\ny"},
	{"${A:-${}", "1"}, // what is not used is not looked at
}

func TestExpand(t *testing.T) {
	for _, c := range expansions {
		if got := ours(c.text); got.text != c.want || got.problem != "" {
			t.Errorf("%q: got %q %s, want %q", c.text, got.text, got.problem, c.want)
		}
		if got := theirs(c.text); got.text != c.want || got.problem != "" {
			t.Errorf("%q: compose-go makes it %q %s, want %q", c.text, got.text, got.problem, c.want)
		}
	}
}

// What compose-go makes of these is not what was written.
func TestExpandDiffersFromComposeGo(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"${A:-{{.Names}}}", "1"},
		{"${NO:-{{.Names}}} ${A}", "{{.Names}} 1"},
		{"${NO:-{}} ${A}", "{} 1"},
		{"${NO:-${}} x", ""},
	} {
		got := ours(c.text)
		if got.text != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got.text, c.want)
		}
		if expandDiffers(c.text, got) == "" {
			t.Errorf("%q is not in the list of differences", c.text)
		}
	}
}

func TestExpandMistakes(t *testing.T) {
	deep := strings.Repeat("${NO:-", Depth+1) + strings.Repeat("}", Depth+1)
	for _, c := range []struct {
		text   string
		offset int
		want   string // in the problem
	}{
		{"a ${", 2, "a name must follow ${"},
		{"a ${}", 2, `"${}" is not`},
		{"${1}", 0, "a name must follow"},
		{"${ A}", 0, "a name must follow"},
		{"x ${A", 2, "the } of ${A is missing"},
		{"${A:-x", 0, "the } of ${A:- is missing on its line"},
		{"${A:-x\n}", 0, "the } of ${A:- is missing on its line"},
		{"${A:x}", 0, `":" cannot follow the name A`},
		{"${A.b}", 0, `"." cannot follow the name A`},
		{"${A/b/c}", 0, `the operator "/" of shells does not exist`},
		{"${A b}", 0, `" " cannot follow`},
		{"$A ${NO:-x ${}", 11, "a name must follow"},
		{"é ${NO:?}", 3, "the variable NO is required and not set"},
		{"${EMPTY:?}", 0, "the variable EMPTY is required and empty"},
		{"${NO?see $A or ${EMPTY:-b}}", 0, "the variable NO is required and not set: see 1 or b"},
		{"${NO:?${NO2:?inner}}", 6, "NO2 is required and not set: inner"},
		{deep, 6 * Depth, "nested more than"},
	} {
		_, err := Expand(c.text, sampleLookup, MaxValue)
		m, ok := errors.AsType[*Mistake](err)
		if !ok || m.Offset != c.offset || !strings.Contains(m.Problem, c.want) {
			t.Errorf("%q: %+v, want %q at %d", c.text, m, c.want, c.offset)
		}
		if c.text != deep && theirs(c.text).problem == "" {
			t.Errorf("%q: compose-go has no error", c.text)
		}
	}
	if got := ours(strings.Repeat("${NO:-", Depth) + "x" + strings.Repeat("}", Depth)); got.text != "x" {
		t.Errorf("at the depth that is allowed: %+v", got)
	}
	if _, err := Expand("$LONG$LONG", sampleLookup, 150); err == nil {
		t.Error("longer than the limit, without an error")
	}
}

func TestUses(t *testing.T) {
	x, err := Expand("é $A ${NO:-${EMPTY}} $$ ${NO} $9 ${NO2+$A}", sampleLookup, MaxValue)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range x.Uses {
		got = append(got, fmt.Sprintf("%d %s%s=%s %v %s", u.Offset, u.Name, u.Op, u.Value, u.Set, u.Origin))
	}
	want := "3 A=1 true environment|6 NO:-= false |12 EMPTY= true environment|25 NO= false |34 NO2+= false "
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if fmt.Sprint(x.Lone) != "[31]" {
		t.Errorf("lone dollars: %v", x.Lone)
	}
}

func TestNotices(t *testing.T) {
	for text, want := range map[string]string{
		"$A ${NO:-x} $$x":                    "",
		"${NO}":                              "0 variable-unset NO ",
		"x $NO $NO":                          "2 variable-unset NO ;6 variable-unset NO ",
		"pa$word":                            "2 variable-unset word $$",
		"pa${word}":                          "2 variable-unset word ",
		"s3cret!$x":                          "7 variable-unset x $$",
		"grep a$ x$":                         "6 dollar  $$",
		"$1":                                 "0 dollar  $$",
		"pa$word$":                           "2 variable-unset word $$;7 dollar  $$",
		"admin:$2y$05$abcdefghijklm/.n":      "6 variable-unset abcdefghijklm $$",
		"u:$apr1$x$y":                        "2 variable-unset apr1 $$",
		"$argon2id$v=19$m=65536,t=3$abc$def": "0 variable-unset argon2id $$",
		"$6$1$2":                             "0 dollar  $$",
		"$6$$salt$$hash":                     "0 dollar  $$",
		"$$6$$salt$$hash":                    "",
	} {
		x, err := Expand(text, sampleLookup, MaxValue)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range x.Notices(text) {
			_, literal, _ := strings.Cut(n.Fix, "$$")
			if strings.Contains(n.Fix, "$$") {
				literal = "$$" + literal
			}
			got = append(got, fmt.Sprintf("%d %s %s %s", n.Offset, n.Rule, n.Name, literal))
		}
		if strings.Join(got, ";") != want {
			t.Errorf("%q: got %q, want %q", text, strings.Join(got, ";"), want)
		}
	}
}
