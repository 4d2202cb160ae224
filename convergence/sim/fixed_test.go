package sim

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine/memory"
)

const pulling = `
services:
  db: {image: db, command: [sleep, "100000"], stop_grace_period: 0s}
  web: {image: web, command: [sleep, "100000"], stop_grace_period: 0s, pull_policy: always, networks: [later]}
networks: {later: {}}
`

// keeping is a project on an engine in memory, and a plan for it that was kept.
type keeping struct {
	t       *testing.T
	engine  *memory.Engine
	desired *desired.Project
	options convergence.Options
	told    []string // by the run, in order
}

func keepPlan(t *testing.T, before, text string) *keeping {
	t.Helper()
	k := &keeping{t: t, engine: memory.New()}
	t.Cleanup(func() { _ = k.engine.Close() })
	k.engine.AddImage("db", container.Config{})
	k.engine.AddRemoteImage("web", container.Config{})
	if before != "" {
		if _, err := convergence.Run(t.Context(), k.engine, want(t, before), convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	k.desired = want(t, text)
	p, err := convergence.Plan(t.Context(), k.engine, k.desired, plan.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held := false
	tell := func(what string) {
		if !held {
			what += " without the lock"
		}
		k.told = append(k.told, what)
	}
	k.options = convergence.Options{
		Fixed:     &convergence.Fixed{Plan: p.Canonical(), Later: p.Later},
		Changing:  func(*desired.Project) error { tell("changing"); return nil },
		Converged: func(o convergence.Outcome) { tell("converged, web runs " + o.Running["web"]) },
		OnPlan:    func(*plan.Plan) { tell("plan") },
		Lock: func(context.Context, string) (func(), error) {
			held = true
			return func() { held = false }, nil
		},
	}
	return k
}

func (k *keeping) run(sink execute.Sink) error {
	_, err := convergence.Run(k.t.Context(), k.engine, k.desired, k.options, sink)
	return err
}

func (k *keeping) remove(name string) {
	k.t.Helper()
	if err := k.engine.ContainerRemove(k.t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
		k.t.Error(err)
	}
}

func (k *keeping) imageOf(name string) string {
	k.t.Helper()
	c, err := k.engine.ContainerInspect(k.t.Context(), name)
	if err != nil {
		k.t.Fatal(err)
	}
	return c.Image
}

func TestFixedPlanIsCarriedOut(t *testing.T) {
	k := keepPlan(t, "", pulling)
	if err := k.run(nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"changing", "plan", "converged, web runs " + k.imageOf("x-web-1")}; !slices.Equal(k.told, want) {
		t.Errorf("told %q, want %q", k.told, want)
	}
}

func TestFixedPlanIsRefused(t *testing.T) {
	k := keepPlan(t, pulling, strings.Replace(pulling, "100000", "200000", 1))
	k.remove("x-web-1")
	before := k.imageOf("x-db-1")
	err := k.run(nil)
	changed, ok := errors.AsType[*convergence.ChangedError](err)
	if !ok || changed.Begun || !slices.Contains(changed.Lines, "+ create container x-web-1: it is not there") {
		t.Fatalf("error %v", err)
	}
	if len(k.told) != 0 || k.imageOf("x-db-1") != before {
		t.Errorf("it was carried out: %q", k.told)
	}
}

// What the plan has left open is decided when it is known; nothing else is.
func TestFixedPlanLeavesServicesOpen(t *testing.T) {
	k := keepPlan(t, pulling, pulling)
	was := k.imageOf("x-web-1")
	k.engine.AddRemoteImage("web", container.Config{Env: []string{"NEW=1"}})
	if err := k.run(nil); err != nil {
		t.Fatal(err)
	}
	if k.imageOf("x-web-1") == was {
		t.Error("web was not replaced")
	}
}

func TestFixedPlanDoesNothingElse(t *testing.T) {
	k := keepPlan(t, pulling, pulling)
	k.engine.AddRemoteImage("web", container.Config{Env: []string{"NEW=1"}})
	err := k.run(func(e execute.Event) {
		if _, pull := e.Operation.(*plan.PullImage); pull && e.Phase == execute.Done {
			k.remove("x-db-1")
		}
	})
	changed, ok := errors.AsType[*convergence.ChangedError](err)
	if !ok || !changed.Begun || !slices.Equal(changed.Lines, []string{"+ create container x-db-1: it is not there", "+ start container x-db-1"}) {
		t.Errorf("error %v", err)
	}
}

// What is lost on the way to the engine is done again, as it was planned.
func TestFixedPlanIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepPlan(t, "", pulling)
		lost := &lossy{Engine: k.engine, first: 2, last: 3, err: io.ErrUnexpectedEOF, starts: map[string]int{}}
		if _, err := convergence.Run(t.Context(), lost, k.desired, k.options, nil); err != nil || len(lost.what) != 2 {
			t.Errorf("%v, lost %q", err, lost.what)
		}
	})
}
