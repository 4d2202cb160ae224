package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	docker "github.com/docker/docker/client"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
)

// buildx is BuildKit's client on an engine's socket, connected as docker buildx does with its driver "docker".
type buildx struct {
	*bkclient.Client
	h *host
}

func (h *host) buildx() buildx {
	h.t.Helper()
	api, err := docker.NewClientWithOpts(docker.WithHost("unix://"+h.status().Socket), docker.WithAPIVersionNegotiation())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { api.Close() })
	c, err := bkclient.New(context.Background(), "",
		bkclient.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return api.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		bkclient.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return api.DialHijack(ctx, "/session", proto, meta)
		}))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return buildx{c, h}
}

// build builds a Dockerfile, with a file and a secret, and gives what the steps print to say.
func (x buildx) build(dockerfile string, say func(string)) error {
	x.h.t.Helper()
	dir := x.h.write("buildx", map[string]string{"Dockerfile": dockerfile, "file": "of the context\n"})
	files, err := fsutil.NewFS(dir)
	if err != nil {
		x.h.t.Fatal(err)
	}
	status, read := make(chan *bkclient.SolveStatus), make(chan struct{})
	go func() {
		defer close(read)
		for s := range status {
			for _, l := range s.Logs {
				say(string(l.Data))
			}
		}
	}()
	_, err = x.Solve(context.Background(), nil, bkclient.SolveOpt{
		Exports:       []bkclient.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": "e2e/buildx:1"}}},
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{"filename": "Dockerfile"},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
		Session:       []session.Attachable{secretsprovider.FromMap(map[string][]byte{"s": []byte("hush\n")})},
	}, status)
	<-read
	return err
}

const secretStep = "FROM e2e/busybox:1\nCOPY file /file\nRUN --mount=type=secret,id=s cat /run/secrets/s /file"

// docker buildx has a connection of its own for what it answers for. What its builds leave is told and taken away.
func TestBuildx(t *testing.T) {
	h := newHost(t)
	h.busybox()
	x := h.buildx()
	var printed strings.Builder
	if err := x.build(secretStep, func(text string) { printed.WriteString(text) }); err != nil {
		t.Fatal(err)
	}
	if printed.String() != "hush\nof the context\n" {
		t.Errorf("the step printed %q", printed.String())
	}
	if list := h.docker("images", "-q", "e2e/buildx:1"); list == "" {
		t.Error("no image was made")
	}
	var usage struct{ BuildCache []struct{ ID string } }
	if err := h.get("/system/df?type=build-cache", &usage); err != nil || len(usage.BuildCache) == 0 {
		t.Errorf("the cache has %v, %v", usage.BuildCache, err)
	}
	h.docker("rmi", "e2e/buildx:1")
	var report struct{ CachesDeleted []string }
	if err := h.ask(http.MethodPost, "/build/prune?all=1", &report); err != nil || len(report.CachesDeleted) == 0 {
		t.Errorf("pruned %v, %v", report.CachesDeleted, err)
	}
	if err := h.get("/system/df?type=build-cache", &usage); err != nil || len(usage.BuildCache) != 0 {
		t.Errorf("then the cache has %v, %v", usage.BuildCache, err)
	}
	h.docker("system", "prune", "-f")
}

// Clients that open BuildKit and then send nonsense, or nothing, hinder nobody.
func TestWrongClientsOfBuildKit(t *testing.T) {
	h := newHost(t)
	h.busybox()
	socket := h.status().Socket
	open := func(path, rest string) net.Conn {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: u\r\n\r\n%s", path, rest)
		return conn
	}
	for _, path := range []string{"/grpc", "/session"} {
		for _, rest := range []string{"", "garbage\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1<<16)} {
			open(path, rest).Close()
		}
	}
	conn := open("/grpc", strings.Repeat("garbage\r\n", 1000))
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") { // the engine closes it
		t.Error(err)
	}
	conn.Close()
	conns := make([]net.Conn, 1000)
	for i := range conns {
		conns[i] = open([]string{"/grpc", "/session"}[i%2], "")
	}
	if err := h.buildx().build(secretStep, func(string) {}); err != nil {
		t.Error(err)
	}
	for _, conn := range conns {
		conn.Close()
	}
}

// A build that dies with its engine leaves neither its secret nor a mount once an engine is there again.
func TestKilledWithASecret(t *testing.T) {
	h, r := newVictim(t)
	x := h.buildx()
	others := secrets(t)
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- x.build(secretStep+"; sleep 1000\n", func(text string) {
			if strings.Contains(text, "hush") {
				close(started)
			}
		})
	}()
	<-started
	ours := slices.DeleteFunc(secrets(t), func(file string) bool { return slices.Contains(others, file) })
	if len(ours) == 0 {
		t.Error("the test does not know where the secret is")
	}
	r.note()
	h.killEngine()
	if err := <-ended; err == nil {
		t.Error("the build of a dead engine has succeeded")
	}
	h.stack(h.dir, "image", "ls") // starts one
	for _, file := range secrets(t) {
		if slices.Contains(ours, file) {
			t.Errorf("left in memory: %s", file)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, filepath.Join(h.dir, "root", "build")) || strings.Contains(line, filepath.Join(h.dir, "root", "tmp")) {
			t.Errorf("left mounted: %s", line)
		}
	}
	if err := h.buildx().build(secretStep, func(string) {}); err != nil {
		t.Error(err)
	}
}

// secrets are the files in memory with the test's secret in them.
func secrets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/dev/shm/stack-build-*/*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && string(content) == "hush\n" {
			out = append(out, file)
		}
	}
	return out
}
