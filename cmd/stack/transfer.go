package main

import (
	"fmt"

	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
)

// transfer shows Docker's messages about an image that comes or goes; is says which one and what happens to it. The
// bytes of all layers are summed up into one line for those who watch.
func transfer(progress view.Progress, is view.Event) engine.Progress {
	is.State, is.Minor = view.Working, true
	layers := map[string]*jsonmessage.JSONProgress{}
	return func(m jsonmessage.JSONMessage) {
		e := is
		switch {
		case m.Stream != "":
			e.Output = m.Stream
		case m.Progress != nil && m.ID != "":
			layers[m.ID] = m.Progress
			e.Detail = bytesOf(layers)
		default:
			e.Detail = m.Status
		}
		progress.Event(e)
	}
}

func bytesOf(layers map[string]*jsonmessage.JSONProgress) string {
	var current, total int64
	for _, p := range layers {
		current += p.Current
		total += p.Total
	}
	if total < current {
		return view.Bytes(current)
	}
	return fmt.Sprintf("%s / %s", view.Bytes(current), view.Bytes(total))
}
