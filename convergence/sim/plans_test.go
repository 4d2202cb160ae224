package sim

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/rogpeppe/go-internal/txtar"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

var update = flag.Bool("update", false, "rewrite the plans in testdata")

// Each archive in testdata/plans has a project as it was brought up ("before"), as it is wanted now ("after"), and the plan
// that leads from one to the other. The first line names what else happened or was asked for.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkPlan(t, file) })
	}
}

// anyID finds the short IDs of the fake, which depend on the order of calls.
var anyID = regexp.MustCompile(`\b0{8}[0-9a-f]{4}`)

func checkPlan(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section := make(map[string]string)
	for _, s := range archive.Files {
		section[s.Name] = string(s.Data)
	}
	f, said := newFake(), string(archive.Comment)
	f.told = "first"
	if section["before"] != "" {
		up(t, f, want(t, section["before"]), plan.UpOptions{})
	}
	got := anyID.ReplaceAllString(planText(t, f, said, section["after"]), "ID")
	golden(t, file, archive, section, "plan", got)
}

// golden compares what came of an archive with its section of that name, or writes it there.
func golden(t *testing.T, file string, archive *txtar.Archive, section map[string]string, name, got string) {
	t.Helper()
	if *update {
		archive.Files = []txtar.File{{Name: "before", Data: []byte(section["before"])}, {Name: "after", Data: []byte(section["after"])}, {Name: name, Data: []byte(got)}}
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != section[name] {
		t.Errorf("got:\n%s\nwant:\n%s", got, section[name])
	}
}

// planText does what the first line says to the engine and plans with the options that it names.
func planText(t *testing.T, f *fake, said, after string) string {
	t.Helper()
	var o plan.UpOptions
	for word := range strings.FieldsSeq(said) {
		verb, rest, _ := strings.Cut(word, ":")
		if f.byHand(verb, rest) {
			continue
		}
		switch verb {
		case "recreate-volume":
			o.RecreateVolumes = map[string]bool{rest: true}
		case "pull-always":
			o.Pull = "always"
		case "force":
			o.Recreate = plan.RecreateForce
		case "never":
			o.Recreate = plan.RecreateNever
		case "remove-orphans":
			o.RemoveOrphans = true
		case "no-deps":
			o.NoDeps = true
		case "wait":
			o.Wait = true
		case "handover":
			o.Handover = true
		case "no-start":
			o.NoStart = true
		case "services":
			o.Services = strings.Split(rest, ",")
		case "new-image":
			f.images[rest] = "sha256:" + strings.Repeat("f", 64)
		case "exited", "paused":
			r, err := f.find(rest)
			if err != nil {
				t.Fatal(err)
			}
			r.status = container.ContainerState(verb)
		case "off-networks":
			r, _ := f.find(rest)
			clear(r.networks)
		case "down":
			return downText(t, f, after)
		case "clock":
			o.Now = timeOf(t, rest)
		case "pulled":
			ref, when, _ := strings.Cut(rest, "=")
			f.tagged[ref] = timeOf(t, when)
		case "given":
			o.Given = desired.Given{
				Variables: map[string]desired.Variables{"database": {Prefixed: map[string]string{"URL": rest}, Raw: map[string]string{"TOKEN": rest}}},
				Endpoints: map[string]string{"llm": rest},
			}
		case "lifecycle":
			return lifecycleText(t, f, rest, after)
		}
	}
	p, err := convergence.Plan(t.Context(), f, want(t, after), o)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return p.Text()
}

func timeOf(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func lifecycleText(t *testing.T, f *fake, verb, after string) string {
	t.Helper()
	d := want(t, after)
	s, err := observe.Project(t.Context(), f, "x", d)
	if err != nil {
		t.Fatal(err)
	}
	plans := map[string]func(*desired.Project, *state.Project, plan.LifecycleOptions) (*plan.Plan, error){
		"start": plan.Start, "stop": plan.Stop, "restart": plan.Restart,
	}
	p, err := plans[verb](d, s, plan.LifecycleOptions{})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return p.Text()
}

func downText(t *testing.T, f *fake, after string) string {
	t.Helper()
	d := want(t, after)
	s, err := observe.Project(t.Context(), f, "x", d)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Down(d, s, plan.DownOptions{Volumes: true, Images: plan.AllImages}).Text()
}
