package convergence

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// versioned is an engine that says what it can do.
type versioned interface {
	Version(ctx context.Context) (types.Version, error)
}

// handsOver says whether on this engine a container can take the ports of the one that it replaces. It is asked only for a
// project in which a container is to start before the old one stops.
func handsOver(ctx context.Context, e any, d *desired.Project) (bool, error) {
	v, ok := e.(versioned)
	startsFirst := func(s desired.Service) bool { return s.Update != nil && s.Update.Order == desired.StartFirst }
	if !ok || !slices.ContainsFunc(d.Services, startsFirst) {
		return false, nil
	}
	version, err := v.Version(ctx)
	return engine.HandsOver(version), err
}
