package memory

import (
	"context"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"stackrun.dev/stack/engine"
)

// Version implements engine.System.
func (e *Engine) Version(ctx context.Context) (types.Version, error) {
	if err := e.enter(ctx, "Version", ""); err != nil {
		return types.Version{}, err
	}
	return types.Version{
		Version: "memory", APIVersion: api.DefaultVersion, MinAPIVersion: api.MinSupportedAPIVersion,
		Os: "linux", Arch: "amd64", Platform: struct{ Name string }{"memory"},
		Components: []types.ComponentVersion{engine.Component("memory")},
	}, nil
}

// Info implements engine.System.
func (e *Engine) Info(ctx context.Context) (system.Info, error) {
	if err := e.enter(ctx, "Info", ""); err != nil {
		return system.Info{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	info := system.Info{
		ID: "memory", Name: "memory", ServerVersion: "memory", Driver: "memory", OSType: "linux", Architecture: "x86_64",
		OperatingSystem: "memory", NCPU: 1, Images: len(e.images), Containers: len(e.containers),
	}
	for _, c := range e.containers {
		switch c.state {
		case container.StateRunning:
			info.ContainersRunning++
		case container.StatePaused:
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	return info, nil
}
