package variables

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/pkg/kvfile"
)

// Each row is a file and the variables that it sets, NAME=[value]; compose-go reads the same.
var files = []struct{ content, want string }{
	{"", ""},
	{"N=v", "N=[v]"},
	{"N=v\nM=w\n", "M=[w] N=[v]"},
	{"\uFEFFN=v\r\nM=w\r\n", "M=[w] N=[v]"},
	{"  N = v  \n", "N=[v]"},
	{"N: v\nM:w", "M=[w] N=[v]"},
	{"N=a=b:c", "N=[a=b:c]"},
	{"N=\nM=  ", "M=[] N=[]"},
	{"export N=v\nexport\tM: w\nexporting=x", "M=[w] N=[v] exporting=[x]"},
	{"export \nN=v\n", "N=[v]"},
	{"# c\n\n  # c\nN=v # c\nM=v#c\nO=v\t# c\n", "M=[v#c] N=[v] O=[v\t# c]"},
	{"N= # c\n", "N=[# c]"},
	{"A\nNO\nN=v\nN\n", "A=[1] N=[v]"},
	{"a.b-c[1]=v\nárvíz=v\n9=v", "9=[v] a.b-c[1]=[v] árvíz=[v]"},
	{"N=1\nN=2", "N=[2]"},

	{`N='v # "$A" \n' # c`, `N=[v # "$A" \n]`},
	{`N='Let\'s go'`, `N=[Let's go]`},
	{`N='a\\'`, `N=[a\\]`},
	{"N='a\nb\r\n c'\nM=w", "M=[w] N=[a\nb\r\n c]"},
	{`N="v # '$A' \$A $$A"`, "N=[v # '1' $A $A]"},
	{`N="{\"a\": \"b\"}"`, `N=[{"a": "b"}]`},
	{`N="a\tb\nc\\d\qe\c\'"`, "N=[a\tb\nc\\d\\qe\\c\\']"},
	{`N="\0101 \08 \0 \01 \0777"`, `N=[A \8 \ \1 \777]`},
	{"N=\"a\n#b\n$A\"\nM=w", "M=[w] N=[a\n#b\n1]"},
	{`N=""` + "\nM=''", "M=[] N=[]"},
	{`N="a" M=b`, "M=[b] N=[a]"},
	{`N="a"b` + "\n", "N=[a]"},
	{`N=a"b"'c'`, `N=[a"b"'c']`},
	{`N=a\tb\$A`, `N=[a\tb\1]`},

	{"N=x\nM=$N ${N} ${NO:-d} ${A}", "M=[x x d 1] N=[x]"},
	{"A=2\nM=$A", "A=[2] M=[1]"}, // what Lookup has wins in values
	{"M=$N\nN=x", "M=[] N=[x]"},
	{"N=pa$word $1 $$", "N=[pa $1 $]"},
}

func printed(env map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, fmt.Sprintf("%s=[%s]", name, env[name]))
	}
	return strings.Join(out, " ")
}

func TestRead(t *testing.T) {
	for _, c := range files {
		got, mistake := readOurs(c.content)
		if mistake != nil || printed(got) != c.want {
			t.Errorf("%q: got %s %v\nwant %s", c.content, printed(got), mistake, c.want)
		}
		if got, err := readTheirs(c.content); err != nil || printed(got) != c.want {
			t.Errorf("%q: compose-go reads %s, %v\nwant %s", c.content, printed(got), err, c.want)
		}
	}
}

// compose-go takes a name at the very end of a file as the value of a variable that has no name.
func TestReadDiffersFromComposeGo(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"A", "A=[1]"},
		{"N=v\nNO", "N=[v]"},
		{"export", ""},
	} {
		got, mistake := readOurs(c.content)
		if mistake != nil || printed(got) != c.want {
			t.Errorf("%q: got %s %v\nwant %s", c.content, printed(got), mistake, c.want)
		}
		if theirs, err := readTheirs(c.content); err == nil && printed(theirs) == printed(got) {
			t.Errorf("%q: compose-go reads the same", c.content)
		}
	}
}

func TestReadMistakes(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"N=v\n%X=1", `2:1 "%" cannot be in the name`},
		{"N=v\n\nTWO WORDS\n", `3:4 "TWO WORDS" has no value, and white space`},
		{"A B=1", `1:2 white space in the name of a variable, "A B"`},
		{"A\tB=1", `1:2 white space in the name`},
		{"ok=1\n  =v", "2:3 a name is missing before the value"},
		{"N='a\nb\n", "1:3 the closing ' of this value is missing"},
		{"M=x\nN=\"a\\\"", "2:3 the closing \" of this value is missing"},
		{"N=\"a\"b\"c\"", `1:7 "\"" cannot be in the name`},
		{"N=é ${A", "1:6 \"${A\" is not a valid use of a variable: the } of ${A is missing"},
		{"N=\"x\n \\t ${NO:?gone}\"", "2:5 the variable NO is required and not set: gone"},
		{"N=\xff\n\xff=1", "2:1 this is not UTF-8 text"},
		{"M=1\nN=a\x00b", "2:1 the value of N has a NUL character"},
		{`N="a\0000"`, "1:1 the value of N has a NUL character"},
		{"N=" + strings.Repeat("x", MaxValue+1), "1:3 a value has at most 1 MB"},
		{"N='" + strings.Repeat("x", MaxValue+1) + "'", "1:3 a value has at most 1 MB"},
		{doubling(40), "22:9 the variables make this too long"},
		{strings.Repeat("a=\n", MaxNames+1), "100001:1 the file sets more than 100000 names, the most that are read"},
		{"a=" + strings.Repeat("$A", MaxUses+1), "1:20003 a value has at most 10000 variables"},
		{repeating(100), "34:1 the values of this file are too long together"},
	} {
		_, m := readOurs(c.content)
		if m == nil {
			t.Errorf("%.40q: no mistake, want %q", c.content, c.want)
		} else if got := fmt.Sprintf("%d:%d %s", m.Line, m.Col, m.Problem); !strings.HasPrefix(got, c.want) {
			t.Errorf("%.40q: got  %s\nwant %s", c.content, got, c.want)
		}
	}
}

// doubling is a file each of whose lines is twice as long as the one before.
func doubling(n int) string {
	out := "X0=x\n"
	for i := range n {
		out += fmt.Sprintf("X%d=$X%d$X%d\n", i+1, i, i)
	}
	return out
}

// repeating is a file of n lines that each have the longest value that is allowed.
func repeating(n int) string {
	out := "X=" + strings.Repeat("x", MaxValue) + "\n"
	for i := range n {
		out += fmt.Sprintf("X%d=$X\n", i)
	}
	return out
}

func TestOrigins(t *testing.T) {
	into := Env{"KEPT": {"k", "before"}}
	content := "# c\nN=1\nM='a\nb'\n\nO=\"x\" P=y\nA\n"
	if _, err := (File{Name: ".env", Content: []byte(content), Into: into, Lookup: sampleLookup}).Read(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"N": ".env:2", "M": ".env:3", "O": ".env:6", "P": ".env:6", "A": Environment, "KEPT": "before"} {
		if got := into[name].Origin; got != want {
			t.Errorf("%s comes from %s, want %s", name, got, want)
		}
	}
}

func TestReadNotices(t *testing.T) {
	content := "N= # c\nM=\"x\" y\nO=pa$word\nP=\"\\t $NO\"\nQ='$NO'\nR=5$\nS=$N\n"
	notices, err := File{Name: ".env", Content: []byte(content), Into: Env{}, Lookup: sampleLookup}.Read()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range notices {
		got = append(got, fmt.Sprintf("%d:%d %s %s", n.Line, n.Col, n.Rule, n.Name))
	}
	want := "1:4 env-file |2:7 env-file |3:5 variable-unset word|4:7 variable-unset NO|6:4 dollar "
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestNoticesEnd(t *testing.T) {
	var b strings.Builder
	for i := range 2 * mostNotices {
		fmt.Fprintf(&b, "A%d=$NO%d\n", i, i)
	}
	notices, err := File{Name: ".env", Content: []byte(b.String()), Into: Env{}}.Read()
	if n := len(notices); err != nil || n != mostNotices+1 || !strings.Contains(notices[n-1].Text, "left out") {
		t.Errorf("%d notices, %v", n, err)
	}
}

func TestReadRaw(t *testing.T) {
	content := "\uFEFF# c\n  N=\"v\" # '$A' $$ \\n  \r\nM=\n\nA\nNO\na.b%c=d=e\n"
	into := Env{}
	if err := (File{Name: "f", Content: []byte(content), Into: into, Lookup: sampleLookup}).ReadRaw(); err != nil {
		t.Fatal(err)
	}
	if got := printed(into.Values()); got != "A=[1] M=[] N=[\"v\" # '$A' $$ \\n  ] a.b%c=[d=e]" || into["N"].Origin != "f:2" {
		t.Errorf("got %s, N from %s", got, into["N"].Origin)
	}
	lines, err := kvfile.ParseFromReader(strings.NewReader(content), sampleMapping)
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		theirs[name] = value
	}
	if printed(theirs) != printed(into.Values()) {
		t.Errorf("docker reads %s", printed(theirs))
	}
	for content, want := range map[string]string{"A=1\n A B=1": "2:2 white space", "\n=v": "2:1 a name is missing", "N=\xff": "1:1 this is not UTF-8"} {
		m, ok := errors.AsType[*Mistake](File{Content: []byte(content), Into: Env{}}.ReadRaw())
		if !ok || !strings.HasPrefix(fmt.Sprintf("%d:%d %s", m.Line, m.Col, m.Problem), want) {
			t.Errorf("%q: %+v, want %s", content, m, want)
		}
	}
}

func TestReadFileHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.env")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(MaxFile+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "more than 10 MB") {
		t.Errorf("error: %v", err)
	}
}
