package embedded

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/build"
)

// TempDir is where the process of the engine with that root should have its temporary files.
func TempDir(root string) string { return filepath.Join(root, build.TempDir) }

// BuildKit implements engine.Builds. The other end of the connection is served in this process.
func (e *Engine) BuildKit(context.Context) (net.Conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open BuildKit: %w", err)
	}
	go func() {
		// What the client does not learn from its own calls is that the engine goes away; it sees the connection end.
		_ = e.builder.ServeBuildKit(theirs)
	}()
	return ours, nil
}

// socketPair is a connection with both its ends.
func socketPair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if a, err = connOf(fds[0]); err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	if b, err = connOf(fds[1]); err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// connOf takes the descriptor over.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "buildkit")
	defer f.Close() //nolint:errcheck // the connection has a duplicate
	return net.FileConn(f)
}
