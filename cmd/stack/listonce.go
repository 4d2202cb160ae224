package main

import (
	"context"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// listOnce is an engine that is asked once which containers a project has, and answers that to all who want to know. It is for
// commands that look at one moment.
type listOnce struct {
	engine.Engine

	once sync.Once
	list []container.Summary
	err  error
}

// ContainerList implements engine.Containers. The filters are those of the first call: of one project.
func (l *listOnce) ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	l.once.Do(func() {
		all := opts
		all.All = true
		l.list, l.err = l.Engine.ContainerList(ctx, all)
	})
	if l.err != nil || opts.All {
		return slices.Clone(l.list), l.err
	}
	return slices.DeleteFunc(slices.Clone(l.list), func(c container.Summary) bool {
		switch c.State {
		case container.StateRunning, container.StatePaused, container.StateRestarting:
			return false
		}
		return true
	}), nil
}
