package dockerfile

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRules: the list has each check that BuildKit has.
func TestRules(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/moby/buildkit/frontend/dockerfile/linter").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "ruleset.go"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{Broken}
	for _, m := range regexp.MustCompile(`(?m)^\t\tName: +"(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, m[1])
	}
	got := Rules()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, text string
		args       map[string]string
		want       string // "RULE:LINE" of each warning
	}{
		{"good", "FROM busybox\nCMD [\"true\"]\n", nil, ""},
		{"casing", "FROM busybox as base\nCMD true\n", nil, "FromAsCasing:1 JSONArgsRecommended:2"},
		{"skipped", "# check=skip=JSONArgsRecommended\nFROM busybox\nCMD true\n", nil, ""},
		{"all skipped", "# check=skip=all\nFROM busybox as base\nCMD true\n", nil, ""},
		{"variable", "FROM busybox\nRUN echo $FOO\nENV A=$FOO\n", nil, "UndefinedVar:3"},
		{"argument", "ARG TAG\nFROM busybox:$TAG\n", map[string]string{"TAG": "1"}, "InvalidDefaultArgInFrom:2"},
		{"secret", "FROM busybox\nENV PASSWORD=a\n", nil, "SecretsUsedInArgOrEnv:2"},
		{"stages", "FROM busybox AS a\nFROM busybox AS A\nWORKDIR app\n", nil, "StageNameCasing:2 DuplicateStageName:2 WorkdirRelativePath:3"},
		{"platform", "FROM --platform=linux/arm64 busybox\n", nil, "FromPlatformFlagConstDisallowed:1"},
		{"nobody asks a registry", "FROM registry.invalid/nowhere:1\n", nil, ""},
		{"broken", "FROM busybox\nRUNN true\n", nil, Broken + ":2"},
		{"empty", "", nil, Broken + ":0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			warnings, err := Check(t.Context(), Input{Name: "Dockerfile", Text: []byte(c.text), Args: c.args})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, w.Rule+":"+string(rune('0'+w.Line)))
				if w.Problem == "" {
					t.Errorf("%s says nothing", w.Rule)
				}
			}
			slices.Sort(got)
			want := strings.Fields(c.want)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, Input{Name: "Dockerfile", Text: []byte("FROM a\n")}); err == nil {
		t.Error("no error")
	}
}
