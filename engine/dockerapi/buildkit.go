package dockerapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session/grpchijack"

	"stackrun.dev/stack/engine"
)

// grpc connects the client with the engine's BuildKit: after the upgrade to "h2c" the connection belongs to the two.
func (b builds) grpc(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	if err := wantUpgrade(r); err != nil {
		return err
	}
	server, err := b.engine.BuildKit(ctx)
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // nothing was written that is not acknowledged
	return upgrade(w, server)
}

// sessionHeaders begin the names of the headers in which a client says what it answers.
const sessionHeaders = "X-Docker-Expose-Session-"

// session is the connection on which docker buildx answers for files, secrets and credentials. BuildKit takes it as a call
// of its API.
func (b builds) session(ctx context.Context, w http.ResponseWriter, r *http.Request, _ map[string]string) error {
	if err := wantUpgrade(r); err != nil {
		return err
	}
	if r.Header.Get(sessionHeaders+"Uuid") == "" {
		return engine.Errorf(engine.ErrInvalid, "cannot open a session of BuildKit: the header %sUuid is missing", sessionHeaders)
	}
	kit, end, err := b.kit(ctx)
	if err != nil {
		return err
	}
	defer end()
	meta := map[string][]string{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, sessionHeaders) {
			meta[name] = values
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server, err := grpchijack.Dialer(kit.ControlClient())(ctx, "h2c", meta)
	if err != nil {
		return engine.Errorf(engine.ErrUnavailable, "cannot open a session of BuildKit: %w", err)
	}
	return upgrade(w, callConn{server, cancel})
}

// callConn is a connection inside a call. The end of the client ends the call at once, whatever BuildKit waits for.
type callConn struct {
	net.Conn
	cancel context.CancelFunc
}

func (c callConn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// kit is a client of the engine's BuildKit. ErrUnsupported: there is none.
func (b builds) kit(ctx context.Context) (*client.Client, func(), error) {
	conn, err := b.engine.BuildKit(ctx)
	if err != nil {
		return nil, nil, err
	}
	var once sync.Once
	dial := func(context.Context, string) (net.Conn, error) {
		err := errors.New("the connection to BuildKit has ended")
		once.Do(func() { err = nil })
		return conn, err
	}
	c, err := client.New(ctx, "", client.WithContextDialer(dial))
	if err != nil {
		return nil, nil, errors.Join(engine.Errorf(engine.ErrInternal, "cannot open BuildKit: %w", err), conn.Close())
	}
	return c, func() {
		_ = c.Close()
		_ = conn.Close() // the client dials when it has something to say, which may be never
	}, nil
}

func wantUpgrade(r *http.Request) error {
	if proto := r.Header.Get("Upgrade"); proto != "h2c" {
		return engine.Errorf(engine.ErrInvalid, "cannot open BuildKit: the request upgrades to %q, not to h2c", proto)
	}
	return nil
}

// upgrade takes the client's connection over and joins it with the server's until one of them ends.
func upgrade(w http.ResponseWriter, server net.Conn) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return engine.Errorf(engine.ErrUnsupported, "cannot open BuildKit: the connection cannot be upgraded")
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot open BuildKit: %w", err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written that is not acknowledged
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
		defer server.Close() //nolint:errcheck // its other direction ends with it
		if n := read.Buffered(); n > 0 {
			if _, err := io.CopyN(server, read, int64(n)); err != nil {
				return
			}
		}
		_, _ = io.Copy(server, client)
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	<-done
}
