package main

import (
	"context"
	"errors"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// words is how an operation is called while it goes on and when it is done. They are Compose's: scripts read them.
type words struct {
	doing, done string
	minor       bool // a detail of something else
}

func wordsOf(op plan.Operation) words {
	switch op.(type) {
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
	case *plan.WaitHealthy:
		return words{"Waiting", "Healthy", false}
	case *plan.WaitCompleted:
		return words{"Waiting", "Exited", false}
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

// showOperations turns what the executor tells into progress.
func showOperations(progress view.Progress) execute.Sink {
	transfers := map[string]func(execute.Event){}
	return func(e execute.Event) {
		id, w := e.Operation.Head().Subject.String(), wordsOf(e.Operation)
		switch e.Phase {
		case execute.Started:
			progress.Event(view.Event{ID: id, Status: w.doing, State: view.Working, Minor: w.minor})
		case execute.Done:
			progress.Event(view.Event{ID: id, Status: w.done, State: view.Done, Minor: w.minor})
		case execute.Failed:
			progress.Event(view.Event{ID: id, Status: "Error", State: view.Failed, Detail: firstLine(e.Err)})
		case execute.Skipped:
			progress.Event(view.Event{ID: id, Status: skippedWord(e.Err), State: view.Skipped, Detail: firstLine(e.Err)})
		case execute.Progress:
			show := transfers[id]
			if show == nil {
				report := transfer(progress, id, w.doing)
				show = func(e execute.Event) { report(*e.Progress) }
				transfers[id] = show
			}
			show(e)
		}
	}
}

// skippedWord tells what was left out because of a failure from what was not reached any more.
func skippedWord(err error) string {
	if errors.Is(err, context.Canceled) {
		return "Interrupted"
	}
	return "Skipped"
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// inOperations gives failures the exit codes that Compose has for them.
func inOperations(err error) error {
	failure, ok := errors.AsType[*execute.Failure](err)
	if !ok {
		return err
	}
	switch failure.Operation.(type) {
	case *plan.BuildImage:
		return buildError{err}
	case *plan.PullImage:
		return pullError{err}
	}
	return err
}
