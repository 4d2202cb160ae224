package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// words is how an operation is called while it goes on and when it is done. They are Compose's: scripts read them.
type words struct {
	doing, done string
	minor       bool // a detail of something else
}

func wordsOf(op plan.Operation) words {
	switch op := op.(type) {
	case *plan.PullImage:
		return words{"Pulling", "Pulled", false}
	case *plan.BuildImage:
		return words{"Building", "Built", false}
	case *plan.CreateNetwork, *plan.CreateVolume, *plan.CreateContainer:
		return words{"Creating", "Created", false}
	case *plan.RemoveImage, *plan.RemoveNetwork, *plan.RemoveVolume, *plan.RemoveContainer:
		return words{"Removing", "Removed", false}
	case *plan.StartContainer:
		return words{"Starting", "Started", false}
	case *plan.StopContainer:
		return words{"Stopping", "Stopped", false}
	case *plan.RestartContainer:
		return words{"Restarting", "Started", false}
	case *plan.KillContainer:
		return words{"Killing", "Killed", false}
	case *plan.PauseContainer:
		return words{"Pausing", "Paused", false}
	case *plan.UnpauseContainer:
		return words{"Unpausing", "Unpaused", false}
	case *plan.ServeModel:
		return words{"Configuring", "Configured", false}
	case *plan.RunProvider:
		return wordsOfProvider(op.Do)
	case *plan.RunHook:
		return words{"Running hook", "Started", true}
	case *plan.WaitHealthy:
		return words{"Waiting", "Healthy", false}
	case *plan.WaitCompleted:
		return words{"Waiting", "Exited", false}
	case *plan.Gate:
		return words{"Waiting", "Reached", true}
	case *plan.MonitorContainer:
		return words{"Watching", "Steady", true}
	case *plan.Delay:
		return words{"Waiting", "Waited", true}
	case *plan.UpdateContainer:
		return words{"Updating", "Updated", false}
	case *plan.ConnectNetwork:
		return words{"Connecting", "Connected", true}
	case *plan.DisconnectNetwork:
		return words{"Disconnecting", "Disconnected", true}
	case *plan.RenameContainer:
		return words{"Renaming", "Renamed", true}
	case *plan.CopyFiles:
		return words{"Copying", "Copied", true}
	}
	return words{doing: plan.KindOf(op), done: plan.KindOf(op), minor: true}
}

func wordsOfProvider(do plan.ProviderCommand) words {
	switch do {
	case plan.ProviderUp:
		return words{"Creating", "Created", false}
	case plan.ProviderStop:
		return words{"Stopping", "Stopped", false}
	}
	return words{"Removing", "Removed", false}
}

// narrator turns what the executor tells into progress.
type narrator struct {
	ctx       context.Context // its end explains failures after it
	progress  view.Progress
	transfers map[string]engine.Progress
	replacing map[string]string // names of containers, and of those whose place they take
	replaced  map[string]bool   // the latter
	told      map[string]bool   // IDs of what something happened to
}

func narrate(ctx context.Context, progress view.Progress) *narrator {
	return &narrator{
		ctx: ctx, progress: progress, transfers: map[string]engine.Progress{},
		replacing: map[string]string{}, replaced: map[string]bool{}, told: map[string]bool{},
	}
}

// planned learns which containers take the place of others, so that five operations are told as one: the container is
// recreated.
func (n *narrator) planned(p *plan.Plan) {
	for made, final := range replacements(p) {
		n.replacing[made], n.replaced[final] = final, true
	}
}

// replacements are the names of the containers that take the place of others, by those under which they are made.
func replacements(p *plan.Plan) map[string]string {
	created, out := make(map[string]bool), make(map[string]string)
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *plan.CreateContainer:
			created[op.Name] = true
		case *plan.RenameContainer:
			if created[op.Container] {
				out[op.Container] = op.Name
			}
		}
	}
	return out
}

// describe is the thing that an operation is about, and what to call what happens to it.
func (n *narrator) describe(op plan.Operation) (id string, w words) {
	subject, w := op.Head().Subject, wordsOf(op)
	if final, ok := n.replacing[subject.Name]; ok { // it is not called so for long
		subject.Name = final
	}
	switch op := op.(type) {
	case *plan.CreateContainer:
		if _, ok := n.replacing[op.Name]; ok {
			return subject.String(), words{doing: "Recreate"}
		}
	case *plan.RenameContainer:
		if n.replacing[op.Container] == op.Name {
			return subject.String(), words{done: "Recreated"}
		}
	case *plan.StopContainer:
		w.minor = n.replaced[subject.Name]
	case *plan.RemoveContainer:
		if n.replaced[subject.Name] {
			return subject.String(), words{} // the new one has that name by now
		}
	}
	return subject.String(), w
}

// event shows one event.
func (n *narrator) event(e execute.Event) {
	id, w := n.describe(e.Operation)
	switch e.Phase {
	case execute.Failed, execute.Skipped:
		n.tell(n.undone(id, e))
	case execute.Started:
		n.tell(view.Event{ID: id, Status: w.doing, State: view.Working, Minor: w.minor})
	case execute.Done:
		n.tell(view.Event{ID: id, Status: w.done, State: view.Done, Minor: w.minor})
	case execute.Warned:
		if _, pull := e.Operation.(*plan.PullImage); !pull {
			n.tell(view.Event{ID: id, Status: "Not required", State: view.Skipped, Detail: firstLine(e.Err)})
		}
	case execute.Noted:
		n.progress.Text("warning: " + id + ": " + e.Note)
	case execute.Progress:
		if kind := e.Operation.Head().Subject.Kind; kind == plan.Provider || kind == plan.Model {
			n.tell(view.Event{ID: id, Status: w.doing, State: view.Working, Detail: e.Progress.Status})
			return
		}
		if n.transfers[id] == nil {
			n.transfers[id] = transfer(n.progress, view.Event{ID: id, Status: w.doing, Source: source(e.Operation)})
		}
		n.transfers[id](*e.Progress)
	}
}

// source is who prints what an operation prints: the service whose image is built, or a hook's container, as Compose
// writes it.
func source(op plan.Operation) string {
	h := op.Head()
	switch op.(type) {
	case *plan.RunHook, *plan.WaitCompleted:
		return h.Subject.Name + " ->"
	}
	return h.Service
}

// unchanged tells that containers run to which nothing happened.
func (n *narrator) unchanged(list []member) {
	for _, m := range list {
		if id := (plan.Subject{Kind: plan.Container, Name: m.name}).String(); !n.told[id] {
			n.tell(view.Event{ID: id, Status: "Running", State: view.Done})
		}
	}
}

func (n *narrator) tell(e view.Event) {
	n.told[e.ID] = true
	if e.Status != "" {
		n.progress.Event(e)
	}
}

// undone tells what was interrupted from what failed, and from what was left out because of that.
func (n *narrator) undone(id string, e execute.Event) view.Event {
	switch {
	case errors.Is(n.ctx.Err(), context.Canceled), errors.Is(e.Err, convergence.ErrGivenUp):
		return view.Event{ID: id, Status: "Interrupted", State: view.Skipped}
	case e.Phase == execute.Skipped:
		why := strings.Replace(firstLine(e.Err), "skipped: ", "because ", 1)
		return view.Event{ID: id, Status: "Skipped", State: view.Skipped, Detail: why}
	}
	return view.Event{ID: id, Status: "Error", State: view.Failed, Detail: firstLine(e.Err)}
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// operationError is an operation that failed, with its name in front where the engine's words do not contain it.
type operationError struct{ *execute.Failure }

func (e operationError) Error() string {
	text, head := e.Failure.Error(), e.Operation.Head()
	if strings.Contains(text, head.Subject.Name) {
		return text
	}
	return "cannot " + head.ID + ": " + text
}

func (e operationError) Unwrap() error { return e.Failure }

// notDone are services of which something was left out, because something failed that they need.
type notDone []string

func (e notDone) Error() string { return "not done because of that: " + strings.Join(e, ", ") }

// inOperations names the operations that failed, gives them the exit codes that Compose has for them, and says at the end what
// was left out.
func inOperations(err error) error {
	var out []error
	var left notDone
	texts := make(map[string]bool)
	for _, part := range parts(err) {
		failure, ok := errors.AsType[*execute.Failure](part)
		if !ok {
			return err
		}
		left = append(left, failure.NotDone...)
		if told := withCode(failure); !texts[told.Error()] { // replicas fail alike
			texts[told.Error()] = true
			out = append(out, told)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		out = append(out, slices.Compact(left))
	}
	return errors.Join(out...)
}

// parts are the errors that were joined, also those that were joined before.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // what errors.Join made
	if !ok {
		return []error{err}
	}
	var out []error
	for _, part := range joined.Unwrap() {
		out = append(out, parts(part)...)
	}
	return out
}

func withCode(f *execute.Failure) error {
	switch f.Operation.(type) {
	case *plan.BuildImage:
		return buildError{operationError{f}}
	case *plan.PullImage:
		return pullError{operationError{f}}
	}
	return operationError{f}
}
