package dockerapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"stackrun.dev/stack/engine"
)

// grpc connects the client with the engine's BuildKit: after the upgrade to "h2c" the connection belongs to the two.
func (b builds) grpc(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	if proto := r.Header.Get("Upgrade"); proto != "h2c" {
		return engine.Errorf(engine.ErrInvalid, "cannot open BuildKit: the request upgrades to %q, not to h2c", proto)
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return engine.Errorf(engine.ErrUnsupported, "cannot open BuildKit: the connection cannot be upgraded")
	}
	server, err := b.engine.BuildKit(ctx)
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // nothing was written that is not acknowledged
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot open BuildKit: %w", err)
	}
	defer conn.Close() //nolint:errcheck // the same
	if _, err := fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"); err != nil {
		return nil // the client has gone; there is nobody to tell
	}
	join(conn, buffered.Reader, server)
	return nil
}

// join copies both ways until one side ends, which ends the other. read may have bytes that came before the upgrade.
func join(client net.Conn, read *bufio.Reader, server net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n := read.Buffered(); n > 0 {
			if _, err := io.CopyN(server, read, int64(n)); err != nil {
				return
			}
		}
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	<-done
}
