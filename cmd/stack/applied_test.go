package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

func TestAppliedIsOneLine(t *testing.T) {
	head := func(service string, kind plan.Kind, name string) plan.Header {
		return plan.Header{ID: name, Service: service, Subject: plan.Subject{Kind: kind, Name: name}}
	}
	create := func(service, name string) *plan.CreateContainer {
		return &plan.CreateContainer{Header: head(service, plan.Container, name), Name: name}
	}
	rename := &plan.RenameContainer{Header: head("web", plan.Container, "web-new"), Container: "web-new", Name: "web-1"}
	start := &plan.StartContainer{Header: head("web", plan.Container, "web-new"), Container: "web-new"}
	gone := &plan.RemoveContainer{Header: head("old", plan.Container, "old-1"), Container: "old-1"}
	before := &plan.RemoveContainer{Header: head("web", plan.Container, "web-1"), Container: "web-1"}
	network := &plan.CreateNetwork{Header: head("", plan.Network, "shop_back")}
	for name, c := range map[string]struct {
		done, undone []plan.Operation
		round        convergence.Round
		paths        []string
		want         string
	}{
		"nothing differs":     {nil, nil, convergence.Round{News: true}, []string{"/p/.env"}, "project shop  nothing had to change (.env) in 0 ms"},
		"no file has changed": {[]plan.Operation{start}, nil, convergence.Round{News: true}, nil, ""},
		"nobody's wish":       {[]plan.Operation{start}, nil, convergence.Round{}, []string{"/p/.env"}, ""},
		"it has failed":       {[]plan.Operation{start}, nil, convergence.Round{News: true, Err: errors.New("no")}, []string{"/p/.env"}, ""},
		"each service is told once": {
			[]plan.Operation{network, create("web", "web-new"), before, rename, start, gone, create("new", "new-1")}, nil,
			convergence.Round{News: true}, []string{"/p/compose.yaml", "/p/.env"},
			"project shop  recreated web, created network shop_back, new, removed old (.env, compose.yaml) in 0 ms",
		},
		"what was given up is one line": {
			[]plan.Operation{network}, []plan.Operation{create("web", "web-new"), rename, start, create("new", "new-1")},
			convergence.Round{News: true, GivenUp: true}, []string{"/p/.env"}, "project shop  given up for newer files: new, web",
		},
		"nothing was left undone": {nil, nil, convergence.Round{News: true, GivenUp: true}, []string{"/p/.env"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			a := newApplied("shop", view.NewChanges("plain", "/p", &out, view.Style{}))
			passed := 0
			sink := a.watch(func(execute.Event) { passed++ })
			c.round.Wish = &desired.Project{Name: "shop"}
			a.changed(cause{c.paths, time.Now()}, c.round.Wish)
			a.planned(&plan.Plan{Operations: append(c.done, c.undone...)})
			for _, op := range c.done {
				sink(execute.Event{Operation: op, Phase: execute.Done})
			}
			for _, op := range c.undone {
				sink(execute.Event{Operation: op, Phase: execute.Skipped, Err: convergence.ErrGivenUp})
			}
			a.over(c.round)
			got := regexp.MustCompile(`in \d+ ms`).ReplaceAllString(strings.TrimSpace(out.String()), "in 0 ms")
			if got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
			if passed != len(c.done) {
				t.Errorf("%d events were shown, want %d", passed, len(c.done))
			}
		})
	}
}

// TestAppliedAfterAll: what a round that was given up has done belongs to the line of the one after it.
func TestAppliedAfterAll(t *testing.T) {
	var out strings.Builder
	a := newApplied("shop", view.NewChanges("plain", "/p", &out, view.Style{}))
	first, second := &desired.Project{Name: "shop"}, &desired.Project{Name: "shop"}
	a.changed(cause{[]string{"/p/.env"}, time.Now()}, first)
	a.over(convergence.Round{Wish: first, News: true, GivenUp: true})
	a.changed(cause{[]string{"/p/more.yaml"}, time.Now()}, nil) // a mistake
	a.changed(cause{[]string{"/p/compose.yaml"}, time.Now()}, second)
	a.over(convergence.Round{Wish: second, News: true})
	a.over(convergence.Round{Wish: second, News: true})
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "(.env, compose.yaml, more.yaml)") {
		t.Errorf("it says %q", got)
	}
}

// TestAppliedIsOfItsOwnWish: what has changed while a round goes on is told with the round that is about it.
func TestAppliedIsOfItsOwnWish(t *testing.T) {
	var out strings.Builder
	a := newApplied("shop", view.NewChanges("plain", "/p", &out, view.Style{}))
	begun, first, second := &desired.Project{Name: "shop"}, &desired.Project{Name: "shop"}, &desired.Project{Name: "shop"}
	a.changed(cause{[]string{"/p/.env"}, time.Now()}, first)
	a.over(convergence.Round{Wish: begun, News: true})
	if got := out.String(); got != "" {
		t.Errorf("a round before the change says %q", got)
	}
	a.changed(cause{[]string{"/p/compose.yaml"}, time.Now()}, second)
	for _, c := range []struct {
		wish *desired.Project
		want string
	}{{first, "(.env)"}, {second, "(compose.yaml)"}} {
		out.Reset()
		if a.over(convergence.Round{Wish: c.wish, News: true}); !strings.Contains(out.String(), c.want) {
			t.Errorf("it says %q, want %q", out.String(), c.want)
		}
	}
}
