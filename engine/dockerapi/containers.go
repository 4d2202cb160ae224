package dockerapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/moby/go-archive"

	"stackrun.dev/stack/engine"
)

// containerBackend adapts the contract to what Docker's container router wants. Where the router hands over no context,
// the operation goes on although the client has left, as Docker's does.
type containerBackend struct{ engine engine.Engine }

func (b *containerBackend) ContainerCreate(ctx context.Context, cfg backend.ContainerCreateConfig) (container.CreateResponse, error) {
	made, err := b.engine.ContainerCreate(ctx, strings.TrimPrefix(cfg.Name, "/"), engine.CreateConfig{
		Config: cfg.Config, Host: cfg.HostConfig, Networking: cfg.NetworkingConfig, Platform: cfg.Platform,
	})
	if made.Warnings == nil {
		made.Warnings = []string{} // clients expect a list
	}
	if errors.Is(err, engine.ErrNotFound) { // the image, or something else that the configuration names
		if _, missing := b.engine.ImageInspect(ctx, cfg.Config.Image); missing != nil {
			err = noImage(cfg.Config.Image, missing)
		}
	}
	return made, err
}

func (b *containerBackend) ContainerStart(ctx context.Context, name, checkpoint, _ string) error {
	if checkpoint != "" {
		return unsupported("start from a checkpoint")
	}
	return b.engine.ContainerStart(ctx, name)
}

func (b *containerBackend) ContainerStop(ctx context.Context, name string, opts container.StopOptions) error {
	return b.engine.ContainerStop(ctx, name, opts)
}

func (b *containerBackend) ContainerRestart(ctx context.Context, name string, opts container.StopOptions) error {
	return b.engine.ContainerRestart(ctx, name, opts)
}

func (b *containerBackend) ContainerKill(name, signal string) error {
	return b.engine.ContainerKill(context.Background(), name, signal)
}

func (b *containerBackend) ContainerPause(name string) error {
	return b.engine.ContainerPause(context.Background(), name)
}

func (b *containerBackend) ContainerUnpause(name string) error {
	return b.engine.ContainerUnpause(context.Background(), name)
}

func (b *containerBackend) ContainerRename(oldName, newName string) error {
	return b.engine.ContainerRename(context.Background(), oldName, newName)
}

func (b *containerBackend) ContainerRm(name string, cfg *backend.ContainerRmConfig) error {
	if cfg.RemoveLink {
		return unsupported("remove a link")
	}
	return b.engine.ContainerRemove(context.Background(), name, container.RemoveOptions{Force: cfg.ForceRemove, RemoveVolumes: cfg.RemoveVolume})
}

func (b *containerBackend) ContainerResize(ctx context.Context, name string, height, width uint32) error {
	return b.engine.ContainerResize(ctx, name, container.ResizeOptions{Height: uint(height), Width: uint(width)})
}

func (b *containerBackend) ContainerUpdate(name string, host *container.HostConfig) (container.UpdateResponse, error) {
	return b.engine.ContainerUpdate(context.Background(), name, container.UpdateConfig{Resources: host.Resources, RestartPolicy: host.RestartPolicy})
}

// ContainerWait hands over the one result. An error before anything was waited for is the answer's status.
func (b *containerBackend) ContainerWait(ctx context.Context, name string, cond container.WaitCondition) (<-chan container.StateStatus, error) {
	results, errs := b.engine.ContainerWait(ctx, name, cond)
	select {
	case err := <-errs:
		return nil, err
	default:
	}
	out := make(chan container.StateStatus, 1)
	go func() {
		select {
		case r := <-results:
			out <- container.NewStateStatus(int(r.StatusCode), waitError(r))
		case err := <-errs:
			out <- container.NewStateStatus(-1, err)
		}
	}()
	return out, nil
}

func waitError(r container.WaitResponse) error {
	if r.Error == nil {
		return nil
	}
	return engine.Errorf(engine.ErrInternal, "%s", r.Error.Message)
}

func (b *containerBackend) ContainerInspect(ctx context.Context, name string, _ backend.ContainerInspectOptions) (*container.InspectResponse, error) {
	c, err := b.engine.ContainerInspect(ctx, name)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// Containers lists the newest first, as Docker does.
func (b *containerBackend) Containers(ctx context.Context, opts *container.ListOptions) ([]*container.Summary, error) {
	list, err := b.engine.ContainerList(ctx, *opts)
	if err != nil {
		return nil, err
	}
	out := make([]*container.Summary, 0, len(list))
	for i := range list {
		out = append(out, &list[i])
	}
	slices.SortStableFunc(out, func(a, b *container.Summary) int { return cmp.Compare(b.Created, a.Created) })
	return out, nil
}

func (b *containerBackend) ContainerTop(name, psArgs string) (*container.TopResponse, error) {
	top, err := b.engine.ContainerTop(context.Background(), name, strings.Fields(psArgs))
	if err != nil {
		return nil, err
	}
	return &top, nil
}

// statsInterval is how often a stream of figures is renewed, as Docker does.
const statsInterval = time.Second

// ContainerStats writes one sample, or two in one, or one every second until the client has left.
func (b *containerBackend) ContainerStats(ctx context.Context, name string, cfg *backend.ContainerStatsConfig) error {
	last, err := b.engine.ContainerStats(ctx, name)
	if err != nil {
		return err
	}
	out := json.NewEncoder(cfg.OutStream())
	if !cfg.Stream && cfg.OneShot {
		return out.Encode(last)
	}
	timer := time.NewTimer(statsInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		next, err := b.engine.ContainerStats(ctx, name)
		if err != nil {
			return nil // the container went; the answer has begun
		}
		next.PreRead, next.PreCPUStats = last.Read, last.CPUStats
		if err := out.Encode(next); err != nil || !cfg.Stream {
			return nil
		}
		last = next
		timer.Reset(statsInterval)
	}
}

func (b *containerBackend) ContainersPrune(ctx context.Context, args filters.Args) (*container.PruneReport, error) {
	chosen, err := pruneFilter(args)
	if err != nil {
		return nil, err
	}
	list, err := b.engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	report := &container.PruneReport{ContainersDeleted: []string{}}
	for _, c := range list {
		stopped := c.State == container.StateExited || c.State == container.StateCreated || c.State == container.StateDead
		if !stopped || !chosen(c.Labels, time.Unix(c.Created, 0)) {
			continue
		}
		err := b.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{})
		if err := ignore(err, engine.ErrNotFound, engine.ErrConflict); err != nil {
			return nil, err
		}
		if err == nil {
			report.ContainersDeleted = append(report.ContainersDeleted, c.ID)
		}
	}
	return report, nil
}

func (b *containerBackend) ContainerStatPath(name, path string) (*container.PathStat, error) {
	stat, err := b.engine.StatPath(context.Background(), name, path)
	return &stat, err
}

func (b *containerBackend) ContainerArchivePath(name, path string) (io.ReadCloser, *container.PathStat, error) {
	content, stat, err := b.engine.CopyFrom(context.Background(), name, path)
	return content, &stat, err
}

func (b *containerBackend) ContainerExtractToDir(name, path string, copyUIDGID, noOverwriteDirNonDir bool, content io.Reader) error {
	return b.engine.CopyTo(context.Background(), name, path, content, container.CopyToContainerOptions{
		AllowOverwriteDirWithFile: !noOverwriteDirNonDir, CopyUIDGID: copyUIDGID,
	})
}

func (b *containerBackend) ContainerExport(context.Context, string, io.Writer) error {
	return unsupported("export a container's file system")
}

func (b *containerBackend) ContainerChanges(context.Context, string) ([]archive.Change, error) {
	return nil, unsupported("list what changed in a container's file system")
}

func (b *containerBackend) CreateImageFromContainer(context.Context, string, *backend.CreateImageConfig) (string, error) {
	return "", unsupported("make an image of a container")
}
