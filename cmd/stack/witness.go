package main

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// witness is an engine that remembers which containers it listed last. A convergence ends with an observation, so after
// one the witness knows what there is, without another request.
type witness struct {
	engine.Engine

	mu   sync.Mutex
	last []container.Summary
}

func (w *witness) ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	list, err := w.Engine.ContainerList(ctx, opts)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.last = list
	}
	return list, err
}

// running are the containers of services, one-off ones excepted, that run. No services: of all.
func (w *witness) running(services []string) []member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []member
	for _, c := range w.last {
		if m := asMember(c); m.State == container.StateRunning && (which{services: services}).meant(m) {
			out = append(out, m)
		}
	}
	return out
}
