package embedded

import (
	"context"
	"net"
	"path/filepath"

	"stackrun.dev/stack/engine/embedded/build"
)

// TempDir is where the process of the engine with that root should have its temporary files.
func TempDir(root string) string { return filepath.Join(root, build.TempDir) }

// BuildKit implements engine.Builds.
func (e *Engine) BuildKit(context.Context) (net.Conn, error) {
	conn, err := e.builder.BuildKit()
	return conn, fullDisk(err)
}
