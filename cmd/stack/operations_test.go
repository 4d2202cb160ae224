package main

import (
	"errors"
	"testing"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// latest remembers how each thing fares, as a terminal shows it.
type latest map[string]string

func (l latest) Event(e view.Event) { l[e.ID] = e.Status }
func (l latest) Text(string)        {}
func (l latest) Close()             {}

// A container that took the place of another one is shown by what became of itself, not of the other.
func TestRecreatedContainerEndsStarted(t *testing.T) {
	head := func(name string) plan.Header {
		return plan.Header{Subject: plan.Subject{Kind: plan.Container, Name: name}}
	}
	p := &plan.Plan{Operations: []plan.Operation{
		&plan.CreateContainer{Header: head("tmp_x-web-1"), Name: "tmp_x-web-1"},
		&plan.StopContainer{Header: head("x-web-1"), Container: "old"},
		&plan.RenameContainer{Header: head("x-web-1"), Container: "old", Name: "aside"},
		&plan.RenameContainer{Header: head("x-web-1"), Container: "tmp_x-web-1", Name: "x-web-1"},
		&plan.StartContainer{Header: head("x-web-1"), Container: "tmp_x-web-1"},
		&plan.RemoveContainer{Header: head("x-web-1"), Container: "old"},
	}}
	shown := latest{}
	n := narrate(t.Context(), shown)
	n.planned(p)
	for _, op := range p.Operations {
		n.event(execute.Event{Operation: op, Phase: execute.Started})
		n.event(execute.Event{Operation: op, Phase: execute.Done})
	}
	if len(shown) != 1 || shown["Container x-web-1"] != "Started" {
		t.Errorf("shown is %v", shown)
	}
}

// A round that was given up for a newer wish is no failure, although nobody has ended the command.
func TestWhatWasGivenUpIsNoError(t *testing.T) {
	op := &plan.StartContainer{Header: plan.Header{Subject: plan.Subject{Kind: plan.Container, Name: "x-web-1"}}}
	for _, c := range []struct {
		phase execute.Phase
		err   error
		want  string
	}{
		{execute.Failed, convergence.ErrGivenUp, "Interrupted"},
		{execute.Skipped, convergence.ErrGivenUp, "Interrupted"},
		{execute.Failed, errors.New("port is taken"), "Error"},
		{execute.Skipped, errors.New("skipped: db failed"), "Skipped"},
	} {
		shown := latest{}
		narrate(t.Context(), shown).event(execute.Event{Operation: op, Phase: c.phase, Err: c.err})
		if got := shown["Container x-web-1"]; got != c.want {
			t.Errorf("%s with %q is shown as %q, want %q", c.phase, c.err, got, c.want)
		}
	}
}
