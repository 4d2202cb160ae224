package dockerapi

import (
	"context"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// systemBackend adapts the contract to what Docker's system router wants.
type systemBackend struct{ engine engine.Engine }

func (b systemBackend) SystemInfo(ctx context.Context) (*system.Info, error) {
	info, err := b.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	if info.RegistryConfig == nil { // the router adds to it for old clients
		info.RegistryConfig = &registry.ServiceConfig{}
	}
	return &info, nil
}

// SystemVersion tells the versions of the API that this server speaks, whatever the engine behind it would.
func (b systemBackend) SystemVersion(ctx context.Context) (types.Version, error) {
	v, err := b.engine.Version(ctx)
	v.APIVersion, v.MinAPIVersion = NewestVersion, OldestVersion
	return v, err
}

func (b systemBackend) SystemDiskUsage(ctx context.Context, opts backend.DiskUsageOptions) (*backend.DiskUsage, error) {
	out := &backend.DiskUsage{}
	if opts.Containers {
		list, err := (&containerBackend{b.engine}).Containers(ctx, &container.ListOptions{All: true, Size: true})
		if err != nil {
			return nil, err
		}
		out.Containers = &container.DiskUsage{Items: list}
	}
	if opts.Images {
		list, err := b.engine.ImageList(ctx, image.ListOptions{SharedSize: true})
		if err != nil {
			return nil, err
		}
		out.Images = &image.DiskUsage{Items: make([]*image.Summary, 0, len(list))}
		for i := range list {
			out.Images.Items = append(out.Images.Items, &list[i])
			out.Images.TotalSize += list[i].Size
		}
	}
	if opts.Volumes {
		list, err := b.volumesInUse(ctx)
		if err != nil {
			return nil, err
		}
		out.Volumes = &volume.DiskUsage{Items: list}
	}
	return out, nil
}

// volumesInUse lists the volumes with the number of containers that use them. Their sizes are not known.
func (b systemBackend) volumesInUse(ctx context.Context) ([]*volume.Volume, error) {
	containers, err := b.engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	users := map[string]int64{}
	for _, c := range containers {
		for _, m := range c.Mounts {
			users[m.Name]++
		}
	}
	list, _, err := volumeBackend{b.engine}.List(ctx, filters.Args{})
	for _, v := range list {
		v.UsageData = &volume.UsageData{Size: -1, RefCount: users[v.Name]}
	}
	return list, err
}

// SubscribeToEvents is not reached: events have a route of their own.
func (systemBackend) SubscribeToEvents(time.Time, time.Time, filters.Args) ([]events.Message, chan any) {
	return nil, nil
}

// UnsubscribeFromEvents is not reached either.
func (systemBackend) UnsubscribeFromEvents(chan any) {}

func (systemBackend) AuthenticateToRegistry(ctx context.Context, auth *registry.AuthConfig) (string, string, error) {
	return login(ctx, auth)
}
