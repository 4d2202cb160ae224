package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// undoTimeout bounds the removal of a container that could not be put on its networks.
const undoTimeout = 30 * time.Second

// ContainerCreate implements engine.Containers. On an engine that takes one network only, the others are connected before
// the call returns; if that fails, there is no container.
func (e *Engine) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (container.CreateResponse, error) {
	version, err := e.version(ctx)
	if err != nil {
		return container.CreateResponse{}, err
	}
	f, err := fit(cfg, version)
	if err != nil {
		return container.CreateResponse{}, err
	}
	made, err := e.api.ContainerCreate(ctx, f.Config, f.Host, f.Networking, f.Platform, name)
	if err != nil {
		return made, e.failed(err)
	}
	for _, other := range f.connect {
		if err := e.NetworkConnect(ctx, other.network, made.ID, other.settings); err != nil {
			return container.CreateResponse{}, errors.Join(err, e.undoCreate(ctx, made.ID))
		}
	}
	made.Warnings = append(made.Warnings, f.notes...)
	return made, nil
}

func (e *Engine) undoCreate(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return e.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
}

// ContainerList implements engine.Containers.
func (e *Engine) ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	list, err := e.api.ContainerList(ctx, opts)
	return sorted(list, firstName), e.failed(err)
}

func firstName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return c.Names[0]
}

// ContainerInspect implements engine.Containers.
func (e *Engine) ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	c, err := e.api.ContainerInspect(ctx, ref)
	return c, e.failed(err)
}

// ContainerStart implements engine.Containers.
func (e *Engine) ContainerStart(ctx context.Context, ref string) error {
	return e.failed(e.api.ContainerStart(ctx, ref, container.StartOptions{}))
}

// ContainerStop implements engine.Containers.
func (e *Engine) ContainerStop(ctx context.Context, ref string, opts container.StopOptions) error {
	if err := e.canSignal(ctx, opts); err != nil {
		return err
	}
	return e.failed(e.api.ContainerStop(ctx, ref, opts))
}

// ContainerRestart implements engine.Containers.
func (e *Engine) ContainerRestart(ctx context.Context, ref string, opts container.StopOptions) error {
	if err := e.canSignal(ctx, opts); err != nil {
		return err
	}
	return e.failed(e.api.ContainerRestart(ctx, ref, opts))
}

// canSignal refuses what older engines ignore: a signal other than the container's own.
func (e *Engine) canSignal(ctx context.Context, opts container.StopOptions) error {
	if opts.Signal == "" {
		return nil
	}
	return e.requires(ctx, stopSignals, "the signal of a stop")
}

// ContainerKill implements engine.Containers.
func (e *Engine) ContainerKill(ctx context.Context, ref, signal string) error {
	return e.failed(e.api.ContainerKill(ctx, ref, signal))
}

// ContainerPause implements engine.Containers.
func (e *Engine) ContainerPause(ctx context.Context, ref string) error {
	return e.failed(e.api.ContainerPause(ctx, ref))
}

// ContainerUnpause implements engine.Containers.
func (e *Engine) ContainerUnpause(ctx context.Context, ref string) error {
	return e.failed(e.api.ContainerUnpause(ctx, ref))
}

// ContainerRename implements engine.Containers.
func (e *Engine) ContainerRename(ctx context.Context, ref, name string) error {
	return e.failed(e.api.ContainerRename(ctx, ref, name))
}

// ContainerRemove implements engine.Containers.
func (e *Engine) ContainerRemove(ctx context.Context, ref string, opts container.RemoveOptions) error {
	return e.failed(e.api.ContainerRemove(ctx, ref, opts))
}

// ContainerWait implements engine.Containers. The client returns when the engine has acknowledged the wait.
func (e *Engine) ContainerWait(ctx context.Context, ref string, cond container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	results := make(chan container.WaitResponse, 1)
	errs := make(chan error, 1)
	gotResult, gotErr := e.api.ContainerWait(ctx, ref, cond)
	go func() {
		select {
		case r := <-gotResult:
			results <- r
		case err := <-gotErr:
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			errs <- e.failed(err)
		}
	}()
	return results, errs
}

// ContainerResize implements engine.Containers.
func (e *Engine) ContainerResize(ctx context.Context, ref string, opts container.ResizeOptions) error {
	return e.failed(e.api.ContainerResize(ctx, ref, opts))
}

// ContainerTop implements engine.Containers.
func (e *Engine) ContainerTop(ctx context.Context, ref string, psArgs []string) (container.TopResponse, error) {
	top, err := e.api.ContainerTop(ctx, ref, psArgs)
	return top, e.failed(err)
}

// ContainerStats implements engine.Containers.
func (e *Engine) ContainerStats(ctx context.Context, ref string) (container.StatsResponse, error) {
	got, err := e.api.ContainerStatsOneShot(ctx, ref)
	if err != nil {
		return container.StatsResponse{}, e.failed(err)
	}
	defer drain(got.Body)
	var stats container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&stats); err != nil {
		return container.StatsResponse{}, engine.Errorf(engine.ErrInternal, "cannot read the figures of container %s: %w", ref, err)
	}
	stats.PreRead, stats.PreCPUStats = time.Time{}, container.CPUStats{}
	return stats, nil
}

// ContainerUpdate implements engine.Containers.
func (e *Engine) ContainerUpdate(ctx context.Context, ref string, cfg container.UpdateConfig) (container.UpdateResponse, error) {
	got, err := e.api.ContainerUpdate(ctx, ref, cfg)
	return got, e.failed(err)
}

// drain reads what is left of a small answer, so that its connection can serve the next request, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4096)
	_ = body.Close()
}
