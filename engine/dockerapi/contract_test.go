package dockerapi_test

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/engine/enginetest"
	"stackrun.dev/stack/engine/memory"
)

// serve serves an engine on a socket and returns the engine that a client of the socket sees.
func serve(t testing.TB, e engine.Engine) *docker.Engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: dockerapi.New(e, dockerapi.Options{Version: "test"})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client, err := docker.New("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestContractOverASocket(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Subject {
		behind := memory.New(memory.WithRegistry("127.0.0.1:5000"))
		t.Cleanup(func() { _ = behind.Close() })
		e := serve(t, behind)
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e), Dial: behind.Dial, Registry: "127.0.0.1:5000"}
	})
}

func BenchmarkOverASocket(b *testing.B) {
	enginetest.Benchmark(b, func(t testing.TB) enginetest.Subject {
		behind := memory.New()
		t.Cleanup(func() { _ = behind.Close() })
		e := serve(t, behind)
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e), Dial: behind.Dial}
	})
}
