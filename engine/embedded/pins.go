package embedded

import (
	"context"
	"path/filepath"
	"slices"
	"sync"

	"stackrun.dev/stack/engine/embedded/container"
)

// pins hold the image layers of every container, running or not, until the container is removed.
type pins struct {
	mu  sync.Mutex
	all map[string]pin // by container ID

	mountpoints mountpoints
}

type pin struct {
	lower   []string
	release func()
}

// layers returns the container's image layers, the uppermost first and below them the layer of mount points, and keeps
// them from being collected.
func (e *Engine) layers(ctx context.Context, r *container.Record) ([]string, error) {
	e.pins.mu.Lock()
	held, ok := e.pins.all[r.ID]
	e.pins.mu.Unlock()
	if ok {
		return held.lower, nil
	}
	floor, err := e.pins.mountpoints.layer(filepath.Join(e.opts.Root, "mountpoints"))
	if err != nil {
		return nil, err
	}
	image, release, err := e.snapshots.Lower(ctx, r.Snapshot)
	if err != nil {
		return nil, err
	}
	lower := append(slices.Clip(image), floor)
	e.pins.mu.Lock()
	defer e.pins.mu.Unlock()
	if held, ok := e.pins.all[r.ID]; ok {
		release()
		return held.lower, nil
	}
	if e.pins.all == nil {
		e.pins.all = map[string]pin{}
	}
	e.pins.all[r.ID] = pin{lower, release}
	return lower, nil
}

// release gives the layers of a removed container free.
func (p *pins) release(id string) {
	p.mu.Lock()
	held, ok := p.all[id]
	delete(p.all, id)
	p.mu.Unlock()
	if ok {
		held.release()
	}
}

func (p *pins) releaseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, held := range p.all {
		held.release()
		delete(p.all, id)
	}
}
