package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

// want loads Compose text into what is desired of the project "x".
func want(t *testing.T, text string) *desired.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return wantIn(t, dir)
}

func wantIn(t *testing.T, dir string) *desired.Project {
	t.Helper()
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	contents, err := p.ReadContents()
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := desired.FromProject(p, desired.Input{Contents: contents})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func up(t *testing.T, f *fake, d *desired.Project, o plan.UpOptions) {
	t.Helper()
	result, err := convergence.Run(t.Context(), f, d, convergence.Options{Up: o, Execute: f.programs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	settledGiven(t, f, d, result.Given)
}

func settled(t *testing.T, f *fake, d *desired.Project) {
	t.Helper()
	settledGiven(t, f, d, desired.Given{})
}

func settledGiven(t *testing.T, f *fake, d *desired.Project, given desired.Given) {
	t.Helper()
	p, err := convergence.Plan(t.Context(), f, d, plan.UpOptions{Given: given})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() {
		t.Fatalf("after convergence there is something to do:\n%s", p.Text())
	}
}

const web = `
services:
  db:
    image: db
    healthcheck: {test: exit 0}
    volumes: [data:/data, /scratch]
  web:
    image: web
    ports: ["8080:80"]
    environment: {A: "1"}
    depends_on:
      db: {condition: service_healthy}
volumes:
  data:
`

func TestUpThenNothingToDo(t *testing.T) {
	f, d := newFake(), want(t, web)
	up(t, f, d, plan.UpOptions{})
	if len(f.containers) != 2 || f.networks["x_default"] == nil || f.volumes["x_data"] == nil {
		t.Errorf("containers %d, networks %v, volumes %v", len(f.containers), f.networks, f.volumes)
	}
	before := len(f.calls)
	up(t, f, d, plan.UpOptions{})
	if len(f.calls) != before {
		t.Errorf("the second run did %q", f.calls[before:])
	}
}

func TestOnlyWhatChangedIsReplaced(t *testing.T) {
	f, d := newFake(), want(t, web)
	up(t, f, d, plan.UpOptions{})
	db, _ := f.find("x-db-1")
	changed := want(t, strings.Replace(web, `A: "1"`, `A: "2"`, 1))
	p, err := convergence.Plan(t.Context(), f, changed, plan.UpOptions{})
	if err != nil || !strings.Contains(p.Text(), ": environment A changed") {
		t.Errorf("plan: %v\n%s", err, p.Text())
	}
	up(t, f, changed, plan.UpOptions{})
	if now, _ := f.find("x-db-1"); now != db {
		t.Error("db was replaced, which did not change")
	}
}

func TestAnonymousVolumesOutliveTheirContainer(t *testing.T) {
	scratch := func(f *fake) string {
		r, err := f.find("x-db-1")
		if err != nil {
			t.Fatal(err)
		}
		return r.mounts[1].Name
	}
	f, d := newFake(), want(t, web)
	up(t, f, d, plan.UpOptions{})
	first := scratch(f)
	up(t, f, d, plan.UpOptions{Recreate: plan.RecreateForce})
	if scratch(f) != first {
		t.Error("the anonymous volume was lost")
	}
	up(t, f, d, plan.UpOptions{Recreate: plan.RecreateForce, RenewVolumes: true})
	if scratch(f) == first {
		t.Error("the anonymous volume was not renewed")
	}
}

func TestAFailureSkipsOnlyItsDependents(t *testing.T) {
	f, d := newFake(), want(t, web+"\n  other: {}\n")
	d = want(t, strings.Replace(web, "services:", "services:\n  other:\n    image: other", 1))
	f.sick["db"] = true
	var events []string
	_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, func(e execute.Event) {
		if e.Phase == execute.Skipped {
			events = append(events, e.Operation.Head().ID+": "+e.Err.Error())
		}
	})
	if err == nil || !strings.Contains(err.Error(), "container x-db-1 is unhealthy") || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "panic: no database") {
		t.Errorf("error: %v", err)
	}
	if got := strings.Join(events, "\n"); got != "start container x-web-1: skipped: db failed" {
		t.Errorf("skipped: %s", got)
	}
	if other, _ := f.find("x-other-1"); other == nil || other.status != "running" {
		t.Error("other should run")
	}
}

// The wait ends with the event, and not before.
func TestDependentsStartWhenTheEventComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := newFake(), want(t, web)
		f.slow["db"] = true
		done := make(chan error)
		go func() {
			_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil)
			done <- err
		}()
		synctest.Wait()
		if calls := strings.Join(f.calls, "\n"); strings.Contains(calls, "start x-web-1") || !strings.Contains(calls, "start x-db-1") {
			t.Errorf("before the event:\n%s", calls)
		}
		f.recover("db")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last := f.calls[len(f.calls)-1]; last != "start x-web-1" {
			t.Errorf("after the event: %s", last)
		}
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	f, d := newFake(), want(t, web)
	f.slow["db"] = true
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("the user has had enough")
	_, err := convergence.Run(ctx, f, d, convergence.Options{}, func(e execute.Event) {
		if _, ok := e.Operation.(*plan.WaitHealthy); ok {
			cancel(enough)
		}
	})
	if !errors.Is(err, enough) {
		t.Errorf("error: %v", err)
	}
}

func TestARefusedReplacementLeavesTheOldOneRunning(t *testing.T) {
	f, d := newFake(), want(t, web)
	up(t, f, d, plan.UpOptions{})
	f.before = func(call string) error {
		if strings.HasPrefix(call, "create ") {
			return errInjected
		}
		return nil
	}
	if _, err := convergence.Run(t.Context(), f, d, convergence.Options{Up: plan.UpOptions{Recreate: plan.RecreateForce}}, nil); !errors.Is(err, errInjected) {
		t.Errorf("error: %v", err)
	}
	for _, name := range []string{"x-db-1", "x-web-1"} {
		if r, err := f.find(name); err != nil || r.status != "running" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot be started gives way to what ran before, and so does what waits for it.
func TestAFailedStartBringsTheOldOnesBack(t *testing.T) {
	for _, broken := range []string{"x-db-1", "x-web-1"} {
		f, d := newFake(), want(t, web)
		up(t, f, d, plan.UpOptions{})
		db, _ := f.find("x-db-1")
		front, _ := f.find("x-web-1")
		var failed atomic.Bool
		f.before = func(call string) error {
			if call == "start "+broken && failed.CompareAndSwap(false, true) {
				return errInjected
			}
			return nil
		}
		force := convergence.Options{Up: plan.UpOptions{Recreate: plan.RecreateForce}}
		if _, err := convergence.Run(t.Context(), f, d, force, nil); !errors.Is(err, errInjected) {
			t.Errorf("error: %v", err)
		}
		if len(f.containers) != 2 || front.name != "x-web-1" || front.status != "running" {
			t.Errorf("%s broken: %d containers, the old x-web-1 is called %s and is %s", broken, len(f.containers), front.name, front.status)
		}
		if broken == "x-db-1" && (db.name != "x-db-1" || db.status != "running") {
			t.Errorf("the old x-db-1 is called %s and is %s", db.name, db.status)
		}
		up(t, f, d, plan.UpOptions{})
	}
}

func TestPlanAsJSON(t *testing.T) {
	p, err := convergence.Plan(t.Context(), newFake(), want(t, web), plan.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Project    string
		Operations []struct {
			Kind      string
			Operation struct {
				ID, Cause, Service string
				Needs              []string
				Subject            plan.Subject
			}
		}
	}
	if err := json.Unmarshal(text, &back); err != nil || len(back.Operations) != len(p.Operations) || back.Project != "x" {
		t.Fatalf("%v: %s", err, text)
	}
	last := back.Operations[len(back.Operations)-1]
	if last.Kind != "StartContainer" || last.Operation.ID != "start container x-web-1" || len(last.Operation.Needs) != 2 || last.Operation.Subject.Name != "x-web-1" {
		t.Errorf("the last: %+v", last)
	}
}

func TestCompletedDependencyRunsOnce(t *testing.T) {
	f, d := newFake(), want(t, `
services:
  migrate: {image: m}
  web:
    image: w
    depends_on:
      migrate: {condition: service_completed_successfully}
`)
	f.exits["migrate"] = 0
	up(t, f, d, plan.UpOptions{})
	if got := strings.Join(f.calls, "\n"); strings.Count(got, "start x-migrate-1") != 1 || strings.Index(got, "start x-migrate-1") > strings.Index(got, "start x-web-1") {
		t.Errorf("calls:\n%s", got)
	}
	f.exits["migrate"] = 3
	up2 := convergence.Options{Up: plan.UpOptions{Recreate: plan.RecreateForce}}
	if _, err := convergence.Run(t.Context(), f, d, up2, nil); err == nil || !strings.Contains(err.Error(), "x-migrate-1 did not complete successfully: exit 3") {
		t.Errorf("error: %v", err)
	}
}

func TestOrphansAreLeftAloneUnlessAskedFor(t *testing.T) {
	f := newFake()
	up(t, f, want(t, web), plan.UpOptions{})
	d := want(t, "services:\n  db:\n    image: db\n")
	p, _ := convergence.Plan(t.Context(), f, d, plan.UpOptions{})
	if len(p.Notes) != 2 || !strings.Contains(p.Notes[0], "x-web-1") || !strings.Contains(p.Notes[1], "x_data") {
		t.Errorf("notes: %q", p.Notes)
	}
	up(t, f, d, plan.UpOptions{})
	if _, err := f.find("x-web-1"); err != nil {
		t.Error("the orphan was removed without consent")
	}
	up(t, f, d, plan.UpOptions{RemoveOrphans: true})
	if _, err := f.find("x-web-1"); err == nil {
		t.Error("the orphan is still there")
	}
	if f.volumes["x_data"] == nil {
		t.Error("the volume was removed")
	}
}

func TestBuildDecidesAboutContainers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "compose.yaml", "services:\n  web:\n    build: .\n    command: sleep 1\n  front:\n    image: f\n    depends_on: [web]\n")
	write(t, dir, "Dockerfile", "FROM scratch\n")
	f, d := newFake(), wantIn(t, dir)
	up(t, f, d, plan.UpOptions{})
	first, err := f.find("x-web-1")
	if err != nil || first.cfg.Config.Labels[desired.LabelImage] != f.images["x-web"] {
		t.Fatalf("%v: label %q, image %q", err, first.cfg.Config.Labels[desired.LabelImage], f.images["x-web"])
	}
	up(t, f, d, plan.UpOptions{Build: true})
	if second, _ := f.find("x-web-1"); second == nil || second == first || second.cfg.Config.Labels[desired.LabelImage] != f.images["x-web"] {
		t.Error("the container still has the old image")
	}
	if builds := strings.Count(strings.Join(f.calls, "\n"), "build x-web"); builds != 2 {
		t.Errorf("built %d times", builds)
	}
}

func TestNetworkRecreationKeepsContainers(t *testing.T) {
	text := "services:\n  a:\n    image: a\n    networks: [n]\nnetworks:\n  n:\n    internal: %t\n"
	f := newFake()
	up(t, f, want(t, fmt.Sprintf(text, false)), plan.UpOptions{})
	before, _ := f.find("x-a-1")
	id := f.networks["x_n"].ID
	up(t, f, want(t, fmt.Sprintf(text, true)), plan.UpOptions{})
	after, _ := f.find("x-a-1")
	if before != after || !after.networks["x_n"] || f.networks["x_n"].ID == id {
		t.Errorf("same container %t, on it %t, same network %t", before == after, after.networks["x_n"], f.networks["x_n"].ID == id)
	}
}

func TestDown(t *testing.T) {
	f, d := newFake(), want(t, web)
	up(t, f, d, plan.UpOptions{})
	if _, err := convergence.Down(t.Context(), f, "x", d, plan.DownOptions{}, convergence.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	if len(f.containers) != 0 || len(f.networks) != 0 || f.volumes["x_data"] == nil {
		t.Errorf("containers %v, networks %v, volumes %v", f.containers, f.networks, f.volumes)
	}
	got := strings.Join(f.calls, "\n")
	if strings.Index(got, "stop x-web-1") > strings.Index(got, "stop x-db-1") {
		t.Errorf("web must stop before db:\n%s", got)
	}
	if _, err := convergence.Down(t.Context(), f, "x", nil, plan.DownOptions{Volumes: true}, convergence.Options{}, nil); err != nil || f.volumes["x_data"] != nil {
		t.Errorf("volumes %v, %v", f.volumes, err)
	}
}

func TestRunWaitsForTheLock(t *testing.T) {
	f, d := newFake(), want(t, web)
	ctx, cancel := context.WithCancelCause(t.Context())
	busy := errors.New("another run holds the lock")
	o := convergence.Options{Lock: func(ctx context.Context, name string) (func(), error) {
		cancel(busy)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	if _, err := convergence.Run(ctx, f, d, o, nil); !errors.Is(err, busy) || len(f.calls) != 0 {
		t.Errorf("error %v, calls %q", err, f.calls)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
