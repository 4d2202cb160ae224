package launch

import (
	"bufio"
	"context"
	"net"
	"path/filepath"
	"testing"
)

// Who waits learns that the engine has gone, or gives up, and can close the lease afterwards.
func TestLeaseWait(t *testing.T) {
	for _, end := range []string{"the engine has gone", "the context is done"} {
		t.Run(end, func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			conn, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			engine, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			lease := &Lease{conn: conn.(*net.UnixConn), reader: bufio.NewReader(conn)}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				lease.Wait(ctx)
			}()
			select {
			case <-ended:
				t.Fatal("it has ended while the engine is there")
			default:
			}
			if end == "the context is done" {
				cancel()
				defer func() { _ = engine.Close() }()
			} else if err := engine.Close(); err != nil {
				t.Fatal(err)
			}
			<-ended
			if err := lease.Close(); err != nil {
				t.Errorf("it cannot be closed: %v", err)
			}
		})
	}
}
