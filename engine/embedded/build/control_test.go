package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// solve builds with BuildKit's own client and returns what the steps printed.
func (b *bench) solve(opt client.SolveOpt) (printed string, err error) {
	b.t.Helper()
	ctx := context.WithoutCancel(b.t.Context())
	conn, err := b.builder.BuildKit()
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := client.New(ctx, "", client.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		b.t.Fatal(err)
	}
	var out strings.Builder
	status := make(chan *client.SolveStatus)
	var read errgroup.Group
	read.Go(func() error {
		for s := range status {
			for _, l := range s.Logs {
				out.Write(l.Data)
			}
		}
		return nil
	})
	_, err = c.Solve(ctx, nil, opt, status)
	_ = read.Wait()
	if closeErr := c.Close(); closeErr != nil {
		b.t.Error(closeErr)
	}
	return out.String(), err
}

// dirOf makes a directory of names and contents.
func dirOf(t testing.TB, files map[string]string) fsutil.FS {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// What only BuildKit's API can carry reaches the steps: secrets, further contexts; and the result is in the image store.
func TestControlAPI(t *testing.T) {
	b := newBench(t)
	main := dirOf(t, map[string]string{
		"Dockerfile": "# syntax=docker/dockerfile:1\nFROM busybox AS first\nCOPY a /a\nRUN --mount=type=secret,id=s echo got $(cat /run/secrets/s)\nFROM first\nCOPY --from=more b /b\nRUN cat /a /b\n",
		"a":          "from-context\n",
	})
	more := dirOf(t, map[string]string{"b": "from-more\n"})
	opt := client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": "built:1,built:2"}}},
		Frontend:      frontendName,
		FrontendAttrs: map[string]string{"filename": "Dockerfile", "context:more": "local:more"},
		LocalMounts:   map[string]fsutil.FS{"context": main, "dockerfile": main, "more": more},
		Session:       []session.Attachable{secretsprovider.FromMap(map[string][]byte{"s": []byte("hush")})},
	}
	printed, err := b.solve(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"got hush", "from-context", "from-more"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q was not printed: %s", want, printed)
		}
	}
	for _, name := range []string{"built:1", "built:2"} {
		if _, err := b.images.Inspect(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if printed, err = b.solve(opt); err != nil || printed != "" {
		t.Errorf("again: %q, %v", printed, err)
	}
}

// A connection that nobody closes does not keep the engine from going away.
func TestControlAPIEndsWithTheBuilder(t *testing.T) {
	b := newBench(t)
	conn, err := b.builder.BuildKit()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := b.builder.Close(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(conn); err != nil {
		t.Errorf("after %d bytes: %v", len(rest), err)
	}
	if _, err := b.builder.BuildKit(); err == nil {
		t.Error("a closed builder serves")
	}
}

// oneStep is a build of a Dockerfile alone.
func oneStep(t *testing.T, dockerfile string) client.SolveOpt {
	t.Helper()
	files := dirOf(t, map[string]string{"Dockerfile": dockerfile})
	return client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby"}},
		Frontend:      frontendName,
		FrontendAttrs: map[string]string{"filename": "Dockerfile"},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
	}
}

// A step that wants more than others is refused unless the client has allowed it.
func TestEntitlementsAreAskedFor(t *testing.T) {
	b := newBench(t)
	for entitlement, dockerfile := range map[string]string{
		"security.insecure": "FROM busybox\nRUN --security=insecure echo allowed\n",
		"network.host":      "FROM busybox\nRUN --network=host echo allowed\n",
	} {
		opt := oneStep(t, dockerfile)
		if printed, err := b.solve(opt); err == nil || !strings.Contains(err.Error(), entitlement+" is not allowed") {
			t.Errorf("%s without asking: %q, %v", entitlement, printed, err)
		}
		opt.AllowedEntitlements = []string{entitlement}
		if printed, err := b.solve(opt); err != nil || printed != "allowed\n" {
			t.Errorf("%s: %q, %v", entitlement, printed, err)
		}
	}
}

// docker buildx says "push" and pushes by itself; who asks for the exporter "image" wants it done here.
func TestPushIsNotOurs(t *testing.T) {
	b := newBench(t)
	for exporter, want := range map[string]string{"moby": "", "image": "cannot push while building"} {
		opt := oneStep(t, "FROM busybox\n")
		opt.Exports[0] = client.ExportEntry{Type: exporter, Attrs: map[string]string{"name": "pushed:1", "push": "true"}}
		if _, err := b.solve(opt); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", exporter, err)
		}
	}
}

// The result can be sent to the client instead.
func TestExportToTheClient(t *testing.T) {
	b := newBench(t)
	for _, kind := range []string{"local", "tar", "oci", "docker"} {
		opt := oneStep(t, "FROM scratch\nCOPY Dockerfile /made\n")
		dir, out := t.TempDir(), &closeBuffer{}
		opt.Exports[0] = client.ExportEntry{Type: kind, Output: func(map[string]string) (io.WriteCloser, error) { return out, nil }}
		if kind == "local" {
			opt.Exports[0] = client.ExportEntry{Type: kind, OutputDir: dir}
		}
		if _, err := b.solve(opt); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if kind == "local" {
			if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
				t.Error(err)
			}
		} else if out.Len() == 0 {
			t.Errorf("%s: nothing was sent", kind)
		}
	}
}

type closeBuffer struct{ bytes.Buffer }

func (*closeBuffer) Close() error { return nil }

// Whatever a client sends, the next one is served, and nothing of it stays.
func TestWrongClients(t *testing.T) {
	b := newBench(t)
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, text := range []string{"", "garbage\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", preface, preface + strings.Repeat("\xff", 1<<16)} {
		conn, err := b.builder.BuildKit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	conns := make([]net.Conn, 1000)
	for i := range conns {
		var err error
		if conns[i], err = b.builder.BuildKit(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if _, err := b.solve(oneStep(t, "FROM busybox\nRUN true\n")); err != nil {
		t.Error(err)
	}
	for _, conn := range conns {
		conn.Close()
	}
	b.builder.builds.Wait() // each connection counts until it has ended
	if _, err := os.Stat(filepath.Join(b.builder.opts.Root, runningMark)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark of a running build: %v", err)
	}
}
