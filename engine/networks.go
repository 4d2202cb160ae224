package engine

import (
	"context"

	"github.com/docker/docker/api/types/network"
)

// Networks connects containers. On a network with a driver of its own subnet ("bridge") every container has an address
// and is found by its name, its short ID and its aliases through the resolver at 127.0.0.11. Containers that share no
// network cannot reach each other. The networks "bridge", "host" and "none" are always there and cannot be removed;
// on "bridge" names do not resolve.
type Networks interface {
	// NetworkCreate returns the new network's ID. ErrConflict: the name is taken. ErrInvalid: a bad subnet or driver, or
	// a subnet that overlaps one in use.
	NetworkCreate(ctx context.Context, name string, opts network.CreateOptions) (string, error)
	NetworkList(ctx context.Context, opts network.ListOptions) ([]network.Summary, error)
	NetworkInspect(ctx context.Context, ref string, opts network.InspectOptions) (network.Inspect, error)

	// NetworkRemove removes the network. ErrConflict: a container is connected.
	NetworkRemove(ctx context.Context, ref string) error

	// NetworkConnect adds the container, running or not, to the network. settings may be nil.
	NetworkConnect(ctx context.Context, ref, container string, settings *network.EndpointSettings) error
	NetworkDisconnect(ctx context.Context, ref, container string, force bool) error
}
