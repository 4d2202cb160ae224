package model_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/model"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Build gives the same project as compose-go's loader does for the same file.
func TestOracle(t *testing.T) {
	files, err := filepath.Glob("testdata/oracle/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	files = append(files, "../../testdata/projects/everything.yaml")
	for _, file := range files {
		for _, profile := range []string{"", "p", "*"} {
			t.Run(filepath.Base(file)+" "+profile, func(t *testing.T) { compare(t, file, profile) })
		}
	}
}

func compare(t *testing.T, file, profile string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SEC": "s", "FROM_ENV": "from env", "HOME": os.Getenv("HOME"), "COMPOSE_PROJECT_NAME": "x"}
	root := parse(t, string(text), dir, env)
	model.Canonical(root)
	got, errs := model.Build(root, model.Options{Name: "x", Dir: dir, Env: env, Profiles: []string{profile}})
	for _, e := range errs {
		t.Errorf("%d:%d: %s", e.Place.Line, e.Place.Col, e.Problem)
	}
	if t.Failed() {
		t.FailNow()
	}
	compareModels(t, got, oracle(t, file, string(text), dir, env, profile))
}

func oracle(t *testing.T, file, text, dir string, env map[string]string, profile string) *types.Project {
	t.Helper()
	details := types.ConfigDetails{
		WorkingDir:  dir,
		Environment: env,
		ConfigFiles: []types.ConfigFile{{Filename: file, Content: []byte(text)}},
	}
	p, err := loader.LoadWithContext(t.Context(), details, withoutChecks, loader.WithProfiles([]string{profile}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withoutChecks leaves out what other phases do.
func withoutChecks(o *loader.Options) {
	o.SetProjectName("x", true)
	o.SkipValidation, o.SkipConsistencyCheck, o.SkipExtends, o.SkipInclude = true, true, true, true
}

func compareModels(t *testing.T, got, want *types.Project) {
	t.Helper()
	for _, p := range []*types.Project{got, want} {
		p.Extensions = maps.Clone(p.Extensions)
		if p.Extensions == nil {
			p.Extensions = make(types.Extensions)
		}
		p.Extensions["x-disabled"] = []any{p.DisabledServices, p.DisabledJobs, p.Profiles, p.WorkingDir}
	}
	eachBuild(want, func(b *types.BuildConfig) { // compose-go's order is random
		slices.SortFunc(b.SSH, func(x, y types.SSHKey) int { return cmp.Compare(x.ID, y.ID) })
	})
	a, b := yamlLines(t, got), yamlLines(t, want)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d:\n%s\nthe oracle has\n%s", i+1, around(a, i), around(b, i))
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d lines, the oracle has %d", len(a), len(b))
	}
	for _, p := range []*types.Project{got, want} {
		eachBuild(p, func(b *types.BuildConfig) { b.SSH = nil }) // compose-go cannot write it as JSON
	}
	if a, b := jsonText(t, got), jsonText(t, want); a != b {
		t.Errorf("the YAML is the same, the JSON is not:\n%s\n%s", a, b)
	}
}

func eachBuild(p *types.Project, f func(*types.BuildConfig)) {
	for _, s := range p.AllServices() {
		if s.Build != nil {
			f(s.Build)
		}
	}
	for _, j := range p.AllJobs() {
		if j.Build != nil {
			f(j.Build)
		}
	}
}

func around(lines []string, i int) string {
	return strings.Join(lines[max(0, i-6):min(len(lines), i+3)], "\n")
}

func yamlLines(t *testing.T, p *types.Project) []string {
	t.Helper()
	text, err := p.MarshalYAML(types.WithSecretContent)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

func jsonText(t *testing.T, p *types.Project) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
