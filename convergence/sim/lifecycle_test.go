package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// brought is the state of a project after it was brought up.
func brought(t *testing.T, text string) (*desired.Project, *state.Project) {
	t.Helper()
	f, d := newFake(), want(t, text)
	up(t, f, d, plan.UpOptions{})
	now, err := observe.Project(t.Context(), f, d.Name, d)
	if err != nil {
		t.Fatal(err)
	}
	return d, now
}

func textOf(p *plan.Plan, err error) string {
	if err != nil {
		return err.Error()
	}
	return anyID.ReplaceAllString(p.Text(), "ID")
}

// What lives in the namespaces of a container restarts with it, and what depends on that with restart: true.
func TestRestartDragsAlong(t *testing.T) {
	d, now := brought(t, `
services:
  a: {image: web}
  inside: {image: web, network_mode: "service:a"}
  deeper: {image: web, pid: "service:inside"}
  needy: {image: web, depends_on: {inside: {condition: service_started, restart: true}}}
  volumes: {image: web, volumes_from: [a]}
  other: {image: web, depends_on: [a]}
`)
	const first = `restart container x-a-1
restart container x-inside-1
  after, also if it fails, restart container x-a-1
`
	const needy = `restart container x-needy-1
  after, also if it fails, restart container x-inside-1
`
	const deeper = `restart container x-deeper-1
  after, also if it fails, restart container x-inside-1
`
	got := textOf(plan.Restart(d, now, plan.LifecycleOptions{Services: []string{"a"}}))
	if want := first + needy + deeper; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	got = textOf(plan.Restart(d, now, plan.LifecycleOptions{Services: []string{"a"}, NoDeps: true}))
	if want := first + deeper; got != want {
		t.Errorf("without dependents, got:\n%swant:\n%s", got, want)
	}
}

// Labels come from whoever made the containers. Whatever they say, the project can be stopped.
func TestCirclesOfLabels(t *testing.T) {
	_, now := brought(t, "services: {a: {image: web}, b: {image: web}, c: {image: web}}\n")
	for i, deps := range [][]string{{"b", "a"}, {"c"}, {"a"}} {
		now.Containers[i].DependsOn = deps
	}
	const want = `stop container x-a-1
stop container x-b-1
  after, also if it fails, stop container x-a-1
stop container x-c-1
  after, also if it fails, stop container x-b-1
`
	if got := textOf(plan.Stop(nil, now, plan.LifecycleOptions{})); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// Plans for many containers that depend on many have an edge per container and not one per pair.
func TestLifecycleOfManyIsLinear(t *testing.T) {
	const scale = 2000
	text := strings.ReplaceAll(`
services:
  a: {image: web, scale: N}
  b: {image: web, scale: N, depends_on: {a: {condition: service_started}}}
`, "N", fmt.Sprint(scale))
	_, now := brought(t, text)
	d := want(t, strings.Replace(text, "service_started", "service_healthy", 1))
	all := plan.LifecycleOptions{}
	began := time.Now()
	for name, make := range map[string]func() (*plan.Plan, error){
		"stop":    func() (*plan.Plan, error) { return plan.Stop(d, now, all) },
		"restart": func() (*plan.Plan, error) { return plan.Restart(d, now, all) },
		"down":    func() (*plan.Plan, error) { return plan.Down(nil, now, plan.DownOptions{}), nil },
		"start": func() (*plan.Plan, error) {
			stopped := *now
			stopped.Containers = nil
			for _, c := range now.Containers {
				c.Status = state.Exited
				stopped.Containers = append(stopped.Containers, c)
			}
			return plan.Start(d, &stopped, all)
		},
	} {
		p, err := make()
		if err != nil {
			t.Fatal(err)
		}
		edges := 0
		for _, op := range p.Operations {
			edges += len(op.Head().Needs) + len(op.Head().After)
		}
		if edges < scale || edges > 7*scale+10 {
			t.Errorf("%s: %d edges for %d operations", name, edges, len(p.Operations))
		}
	}
	t.Logf("%d containers in %v", 2*scale, time.Since(began))
}
