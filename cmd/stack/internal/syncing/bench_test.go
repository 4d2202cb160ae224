package syncing

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/watch/session"
)

// BenchmarkSync is what syncing costs beside the engine's own work: an engine in memory, behind a socket.
func BenchmarkSync(b *testing.B) {
	for _, c := range []struct{ files, containers int }{{1, 1}, {1, 3}, {200, 1}, {200, 3}} {
		b.Run(fmt.Sprintf("files=%d/containers=%d", c.files, c.containers), func(b *testing.B) {
			w := newWorld(b, Options{})
			for i := range c.containers {
				w.begin("web", fmt.Sprint("shop-web-", i+1))
			}
			w.services = New(w.behindSocket(b), Options{Project: "shop"})
			work := session.Work{}
			for i := range c.files {
				name := fmt.Sprintf("f%03d", i)
				w.write(name, strings.Repeat("x", 2000), 0o644)
				work.Files = append(work.Files, w.file(name))
			}
			for b.Loop() {
				if got := w.sync(work); got.Written.Files != c.files {
					b.Fatalf("synced %+v", got)
				}
			}
		})
	}
}

// behindSocket is the engine as a command sees it.
func (w *world) behindSocket(t testing.TB) *docker.Engine {
	t.Helper()
	socket := filepath.Join(w.dir, "engine.sock")
	listener, err := net.Listen("unix", socket)
	w.must(err)
	server := &http.Server{Handler: dockerapi.New(w.Engine, dockerapi.Options{})}
	go func() { _ = server.Serve(listener) }()
	e, err := docker.New("unix://" + socket)
	w.must(err)
	t.Cleanup(func() {
		w.must(e.Close())
		w.must(server.Close())
	})
	return e
}
