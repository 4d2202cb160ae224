package project

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// filledSource parses one file and replaces its variables.
func filledSource(t *testing.T, text string, o Options) (*source, *interpolator) {
	t.Helper()
	sources, errs := parseFile(&tree.File{Name: "f"}, []byte(text))
	if len(errs) > 0 || len(sources) != 1 {
		t.Fatalf("%d documents, %v", len(sources), errs)
	}
	sources[0].vars = variables.From(map[string]string{"A": "1", "E": ""}, variables.Environment)
	in := newInterpolator(o)
	in.fill(sources[0])
	return sources[0], in
}

// noVariable is how a variable that is not set begins in a file.
var noVariable = regexp.MustCompile(`(?:\$|\\x24|\\u0024)\{?NO`)

// However a value is written, the place of a variable is that of its "$".
func TestPlacesOfVariables(t *testing.T) {
	for name, text := range map[string]string{
		"plain":                "a: x $NO1 y ${NO2}\n",
		"after other letters":  "é: [ü, x $NO1, é, $NO2]\n",
		"byte order mark":      "\uFEFFé: $NO1\n",
		"plain, folded":        "a: one\n  two $NO1\n  three $NO2\n",
		"double quotes":        "a: \"\\\" \\t é $NO1 \\\\$NO2\"\n",
		"escaped dollar":       "a: \"\\x24NO1 \\u0024NO2 \\\\x24 $NO3\"\n",
		"double quotes, lines": "a: \"one\n   two $NO1 \\\n  $NO2\"\n",
		"single quotes":        "a: 'it''s $NO1\n\n  $NO2'\n",
		"literal":              "a: | # costs $5\n  x $$1\n    é $NO1\n  $NO2\n",
		"folded":               "a: >-\n\n  x\n  $NO1\n    $NO2\n  $NO3\n",
		"keep, indented":       "a: |2+\n    $NO1\n\nb: $NO2\n",
		"tag and anchor":       "a: !!str &x $NO1\n",
		"anchor on a line":     "a: &x |\n  $NO1\nb: *x\n",
		"in a flow":            "{a: $NO1, b: [$NO2, \"$NO3\"]}\n",
		"nested":               "a: $A ${A:+x ${NO1}} ${E:-${NO2}}\n",
		"tabs":                 "a:\t$NO1\t$NO2\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, in := filledSource(t, text, Options{})
			var got, want []string
			for _, w := range in.warnings {
				got = append(got, fmt.Sprintf("%d:%d", w.Line, w.Col))
			}
			for _, at := range noVariable.FindAllStringIndex(text, -1) {
				before := text[:at[0]]
				want = append(want, fmt.Sprintf("%d:%d", 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n')))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") || len(got) == 0 {
				t.Errorf("warnings at %v, want %v:\n%s", got, want, text)
			}
		})
	}
}

func TestWarningsAboutVariables(t *testing.T) {
	for text, want := range map[string]string{
		"a: $A ${NO:-x} $$x":             "",
		"a: $NO\nb: $NO ${NO}":           "1:4 the variable NO is not set; it is replaced by nothing",
		"a: pa$word":                     "1:6 the variable word is not set; it is replaced by nothing; if the $ is meant literally, write $$",
		"a: $1 $2":                       "1:4 this $ begins no variable and stays as it is; if it is meant so, write $$",
		"a: u:$2y$05$abc.def/x":          "1:6 this looks like the hash of a password, whose $ are read as variables; write each $ of it as $$",
		"a: $apr1$q$x\nb: $q":            "1:4 this looks like the hash of a password, whose $ are read as variables; write each $ of it as $$|2:4 the variable q is not set; it is replaced by nothing",
		"$NO: x\nx-b: &n $A\nc: [*n,*n]": "",
	} {
		_, in := filledSource(t, text, Options{})
		var got []string
		for _, w := range in.warnings {
			got = append(got, fmt.Sprintf("%d:%d %s", w.Line, w.Col, w.Text))
		}
		if strings.Join(got, "|") != want || len(in.errors) > 0 {
			t.Errorf("%q: got  %s %v\nwant %s", text, strings.Join(got, "|"), in.errors, want)
		}
	}
}

func TestMistakesWithVariables(t *testing.T) {
	for text, want := range map[string]string{
		"a: |\n  x\n  ${NO:?see the manual}": "f:3:3: the variable NO is required and not set: see the manual",
		"a: x ${A/b}":                        `f:1:6: "${A/b}" is not a valid use of a variable: the operator "/" of shells does not exist in Compose files`,
		"a: [x, '${', ok]":                   `f:1:9: "${" is not a valid use of a variable: a name must follow ${`,
	} {
		_, in := filledSource(t, text, Options{})
		if len(in.errors) != 1 || !strings.HasPrefix(in.errors[0].Error(), want+"\n") || in.errors[0].Rule == "" || in.errors[0].Fix == "" {
			t.Errorf("%q: got  %v\nwant %s", text, in.errors, want)
		}
	}
}

func TestStrictVariables(t *testing.T) {
	_, in := filledSource(t, "a: $NO ${NO} ${OTHER-} $1\nb: x$NO2\nc: $2y$05$abc", Options{Strict: true})
	var got []string
	for _, e := range in.errors {
		got = append(got, fmt.Sprintf("%d:%d %s", e.Line, e.Col, e.Problem))
	}
	want := "1:4 the variable NO is not set|2:5 the variable NO2 is not set|3:4 the variable abc is not set"
	if strings.Join(got, "|") != want || len(in.warnings) != 1 {
		t.Errorf("got %v and warnings %v", got, in.warnings)
	}
}

func TestWarningsAboutVariablesEnd(t *testing.T) {
	var b strings.Builder
	for i := range 2 * mostNotices {
		fmt.Fprintf(&b, "a%d: $NO%d\n", i, i)
	}
	_, in := filledSource(t, b.String(), Options{})
	if n := len(in.warnings); n != mostNotices+1 || !strings.Contains(in.warnings[n-1].Text, "left out") {
		t.Errorf("%d warnings, the last is %v", n, in.warnings[n-1])
	}
}

// A project of many small values cannot be made to fill the memory.
func TestVariablesHaveRoom(t *testing.T) {
	s, errs := parseFile(&tree.File{Name: "f"}, []byte("a: [$BIG, "+strings.Repeat("$BIG, ", 100)+"]"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s[0].vars = variables.Env{"BIG": {Value: strings.Repeat("x", variables.MaxValue), Origin: ".env:1"}}
	in := newInterpolator(Options{})
	in.fill(s[0])
	if len(in.errors) == 0 || in.errors[0].Rule != variables.RuleLimit {
		t.Errorf("errors: %v", in.errors)
	}
}

func TestWhatFilledAValue(t *testing.T) {
	p, _ := load(t, map[string]string{
		"compose.yaml": "services:\n  web:\n    image: \"$IMAGE:${TAG:-latest}\"\n    command: plain\n",
		".env":         "# c\nIMAGE=nginx\n",
	}, Options{ProjectName: "x", Env: map[string]string{"TAG": "1"}})
	e, _ := p.root.Find("services", "web", "image")
	if e.Value.Raw != "$IMAGE:${TAG:-latest}" || e.Value.Text != "nginx:1" || len(e.Value.Uses) != 2 {
		t.Fatalf("%+v", e.Value)
	}
	image, tag := e.Value.Uses[0], e.Value.Uses[1]
	if image.Name != "IMAGE" || image.Value != "nginx" || !strings.HasSuffix(image.Origin, "/.env:2") || tag.Origin != variables.Environment {
		t.Errorf("uses %+v", e.Value.Uses)
	}
	if !strings.HasSuffix(p.Origin("IMAGE"), "/.env:2") || p.Origin("TAG") != variables.Environment || p.Origin("NO") != "" {
		t.Errorf("origins %q, %q", p.Origin("IMAGE"), p.Origin("TAG"))
	}
	if e, _ := p.root.Find("services", "web", "command"); e.Value.Raw != "" || e.Value.Uses != nil {
		t.Errorf("without variables: %+v", e.Value)
	}
}

func TestVariablesOfProject(t *testing.T) {
	text := "include: [more.yaml]\nservices:\n  web:\n    image: ${IMAGE:-nginx}:$TAG\n    command: [\"${MODE:+--mode ${LEVEL-low}}\", '${TAG:?}', '$$NOT']\n    environment: {TAG: '${TAG-x}'}\nx-a: $EXTRA\n"
	want := "EXTRA:compose.yaml:7:6,IMAGE=nginx:compose.yaml:4:12,LEVEL=low:compose.yaml:5:31,MODE+--mode ${LEVEL-low}:compose.yaml:5:16,MORE:more.yaml:1:25,TAG!=x:compose.yaml:4:28"
	for _, o := range []Options{{}, {NoInterpolate: true}} {
		o.ProjectName, o.Env = "x", map[string]string{"TAG": "1"}
		p, _ := load(t, map[string]string{"compose.yaml": text, "more.yaml": "services: {db: {image: a$MORE}}"}, o)
		var got []string
		for _, v := range p.Variables() {
			s := v.Name
			if v.Required {
				s += "!"
			}
			if v.Default != "" {
				s += "=" + v.Default
			}
			if v.Alternate != "" {
				s += "+" + v.Alternate
			}
			got = append(got, s+":"+v.Position.String()[strings.LastIndexByte(v.File, '/')+1:])
		}
		if strings.Join(got, ",") != want {
			t.Errorf("not interpolated %v: got  %s\nwant %s", o.NoInterpolate, strings.Join(got, ","), want)
		}
	}
}
