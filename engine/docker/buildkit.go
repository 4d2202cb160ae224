package docker

import (
	"context"
	"net"
	"strings"

	"stackrun.dev/stack/engine"
)

// BuildKit implements engine.Builds with "POST /grpc", which Docker has had since 18.09 and Podman has not.
func (e *Engine) BuildKit(ctx context.Context) (net.Conn, error) {
	conn, err := e.api.DialHijack(ctx, "/grpc", "h2c", nil)
	switch {
	case err == nil:
		return conn, nil
	case strings.Contains(err.Error(), "unable to upgrade to h2c"): // the client's words for any other status than 101
		return nil, &engine.Error{Kind: engine.ErrUnsupported, Text: "this engine does not offer its BuildKit", Err: err}
	}
	return nil, e.failed(err)
}
