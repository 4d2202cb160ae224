package variables

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/sirupsen/logrus"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // of compose-go, which warns there
	os.Exit(m.Run())
}

// sample is what the variables of the tests are.
var sample = map[string]string{"A": "1", "EMPTY": "", "B_2": "two $A ${A}", "a": "lower", "LONG": strings.Repeat("long ", 20)}

func sampleLookup(name string) (Var, bool) {
	if v, ok := sample[name]; ok {
		return Var{v, Environment}, true
	}
	return Var{}, false
}

func sampleMapping(name string) (string, bool) {
	v, ok := sample[name]
	return v, ok
}

// outcome is a result in the terms that both sides have: the text, or what kind of error it is.
type outcome struct{ text, problem string }

func ours(text string) outcome {
	x, err := Expand(text, sampleLookup, MaxGrowth)
	m, ok := errors.AsType[*Mistake](err)
	switch {
	case !ok:
		return outcome{text: x.Text}
	case m.Rule == RuleRequired:
		name, rest, _ := strings.Cut(strings.TrimPrefix(m.Problem, "the variable "), " is required and ")
		_, reason, _ := strings.Cut(rest, ": ")
		return outcome{problem: "required " + name + ": " + reason}
	}
	return outcome{problem: m.Rule}
}

func theirs(text string) outcome {
	out, err := template.SubstituteWithOptions(text, sampleMapping, template.WithoutLogging)
	var required *template.MissingRequiredError
	switch {
	case errors.As(err, &required):
		return outcome{problem: "required " + required.Variable + ": " + required.Reason}
	case err != nil:
		return outcome{problem: RuleSyntax}
	}
	return outcome{text: out}
}

// expandDiffers says why compose-go's result may be another one, or "".
func expandDiffers(text string, got outcome) string {
	switch {
	case strings.Contains(text, "{{") || strings.Contains(text, "{}"):
		return "compose-go does not count a brace that follows an opening one, and ends ${A:-{{x}}} one brace early"
	case strings.ContainsAny(text, "\u017f\u212a"):
		return "compose-go's names may have U+017F and U+212A, which are s and k in another case"
	case got.problem == RuleLimit:
		return "compose-go has no limits"
	}
	return ""
}

// readOurs and readTheirs read an env file; what is not set in it comes from sample.
func readOurs(content string) (map[string]string, *Mistake) {
	into := Env{}
	_, err := File{Name: "x", Content: []byte(content), Into: into, Lookup: sampleLookup}.Read()
	m, _ := errors.AsType[*Mistake](err)
	return into.Values(), m
}

func readTheirs(content string) (map[string]string, error) {
	return dotenv.ParseWithLookup(strings.NewReader(content), sampleMapping)
}
