package build

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
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
