package build

import (
	"context"
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
	"golang.org/x/sys/unix"
)

// solve builds with BuildKit's own client and returns what the steps printed.
func (b *bench) solve(opt client.SolveOpt) (printed string, err error) {
	b.t.Helper()
	ctx := context.WithoutCancel(b.t.Context())
	ours, theirs := socketPair(b.t)
	var served errgroup.Group
	served.Go(func() error { return b.builder.ServeBuildKit(theirs) })
	c, err := client.New(ctx, "", client.WithContextDialer(func(context.Context, string) (net.Conn, error) { return ours, nil }))
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
	if serveErr := served.Wait(); serveErr != nil {
		b.t.Error(serveErr)
	}
	return out.String(), err
}

// socketPair is a connection and its other end. Unlike a pipe of package net it holds what was written until it is read, as sockets do.
func socketPair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
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
	ours, theirs := socketPair(t)
	defer ours.Close()
	done := make(chan error)
	go func() { done <- b.builder.ServeBuildKit(theirs) }()
	if _, err := ours.Read(make([]byte, 1)); err != nil { // the server greets
		t.Fatal(err)
	}
	if err := b.builder.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ours, theirs = socketPair(t)
	defer ours.Close()
	if err := b.builder.ServeBuildKit(theirs); err == nil {
		t.Error("a closed builder serves")
	}
}
