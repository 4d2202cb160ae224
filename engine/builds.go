package engine

import (
	"context"
	"net"
)

// Builds gives access to the engine's BuildKit, for what Images.ImageBuild cannot carry: files that are sent only when they
// are needed, secrets, SSH agents, further contexts, other caches.
type Builds interface {
	// BuildKit opens a connection that speaks BuildKit's control API (gRPC over HTTP/2), as "POST /grpc" does. The exporter
	// "moby" puts an image into the engine's store. The caller closes the connection; ctx counts for opening it only.
	// ErrUnsupported: the engine has no BuildKit, or keeps it to itself; ImageBuild is there.
	BuildKit(ctx context.Context) (net.Conn, error)
}
