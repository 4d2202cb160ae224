package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/engine"
)

// inProcess is an app on an engine in memory in this process, in a directory with a project.
func inProcess(t *testing.T, compose string) (*app, *io.PipeReader) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o600); err != nil {
		t.Fatal(err)
	}
	handler, closer, err := openMemory(t.Context(), launch.Target{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), closer.Close()); err != nil {
			t.Error(err)
		}
	})
	env := map[string]string{"DOCKER_HOST": "unix://" + l.Addr().String(), "STACK_RUN": dir, "STACK_ROOT": dir}
	r, w := io.Pipe()
	t.Cleanup(func() { _ = r.Close() })
	a := &app{
		in: strings.NewReader(""), out: io.Discard, err: w, now: time.Now,
		getenv: func(name string) string { return env[name] },
	}
	a.global.files = []string{filepath.Join(dir, "compose.yaml")}
	return a, r
}

func TestTwoRunsOnOneProjectWait(t *testing.T) {
	a, messages := inProcess(t, "name: two\nservices:\n  a:\n    image: busybox\n    command: [sleep, '1000']\n")
	holder := launch.Holder{PID: 123, User: "root", Command: "stack up -d", Since: time.Date(2026, 1, 2, 12, 3, 4, 0, time.Local)}
	lock, err := launch.LockProject(t.Context(), launch.OwnLocks(a.getenv("STACK_RUN")), launch.KeyOf("memory", "two"), holder, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() { done <- run(t.Context(), []string{"-f", a.global.files[0], "up", "-d"}, a) }()
	lines := bufio.NewScanner(messages)
	const want = "stack up -d of root (process 123, since 12:03:04) is working on project two; waiting for it"
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), want) {
		t.Fatalf("first line is %q", lines.Text())
	}
	select {
	case <-done:
		t.Fatal("the second run did not wait")
	default:
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && lines.Text() != " Container two-a-1 Started" {
	}
	go func() { _, _ = io.Copy(io.Discard, messages) }()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), errors.New("x"), exitFailure},
		{t.Context(), exitCode(7), 7},
		{t.Context(), codedError{errors.New("x"), 127}, 127},
		{done, context.Canceled, exitInterrupted},
		{t.Context(), context.Canceled, exitFailure},
		{t.Context(), usagef("x"), exitUsage},
		{t.Context(), pullError{engine.Errorf(engine.ErrNotFound, "x")}, exitPull},
		{t.Context(), errors.Join(buildError{errors.New("x")}), exitBuild},
	} {
		if got := codeOf(tt.ctx, tt.err); got != tt.want {
			t.Errorf("code of %v is %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"42m":                  now.Add(-42 * time.Minute),
		"2026-01-01T00:00:00Z": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"1767225600.5":         time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC),
		"2026-01-01":           time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseTime("yesterday", now); err == nil {
		t.Error("yesterday is a time")
	}
}

func TestMemberStatus(t *testing.T) {
	for text, want := range map[string]struct {
		exit   int
		health string
	}{
		"Up 3 seconds":                      {0, ""},
		"Up 3 seconds (healthy)":            {0, "healthy"},
		"Up 3 seconds (health: starting)":   {0, "starting"},
		"Up 3 seconds (Paused)":             {0, ""},
		"Exited (137) 2 minutes ago":        {137, ""},
		"Restarting (1) 2 seconds ago":      {1, ""},
		"Created":                           {0, ""},
		"Up 3 seconds (unhealthy) (Paused)": {0, "unhealthy"},
	} {
		exit, health := member{Summary: container.Summary{Status: text}}.status()
		if exit != want.exit || health != want.health {
			t.Errorf("%q: %d, %q; want %d, %q", text, exit, health, want.exit, want.health)
		}
	}
}

func TestSplitTag(t *testing.T) {
	for ref, want := range map[string][2]string{
		"busybox":               {"busybox", ""},
		"busybox:1":             {"busybox", "1"},
		"localhost:5000/x":      {"localhost:5000/x", ""},
		"localhost:5000/x:2":    {"localhost:5000/x", "2"},
		"x:2@sha256:0123456789": {"x", "2"},
	} {
		if repository, tag := splitTag(ref); repository != want[0] || tag != want[1] {
			t.Errorf("splitTag(%q) = %q, %q; want %q", ref, repository, tag, want)
		}
	}
}

func TestSplitCopyArg(t *testing.T) {
	for arg, want := range map[string][2]string{
		"web:/x": {"web", "/x"}, "./web:/x": {"", "./web:/x"}, "/a:b": {"", "/a:b"}, "-": {"", "-"}, "dir/web:x": {"", "dir/web:x"},
	} {
		if service, path := splitCopyArg(arg); service != want[0] || path != want[1] {
			t.Errorf("splitCopyArg(%q) = %q, %q; want %q", arg, service, path, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{"unix:///run/s": "unix:///run/s", "a b": "'a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellQuote(word); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", word, got, want)
		}
	}
}

func TestKeyWatch(t *testing.T) {
	for input, want := range map[string]bool{"ls\n\x10\x11": true, "\x10\x11ls": false, "\x11": false, "": false} {
		k, err := watchKeys(iotest.OneByteReader(strings.NewReader(input)), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, k); err != nil {
			t.Fatal(err)
		}
		if got := k.pressed(); got != want {
			t.Errorf("after %q: %v, want %v", input, got, want)
		}
	}
	if _, err := watchKeys(nil, "ctrl-nonsense"); err == nil {
		t.Error("nonsense is a key")
	}
}
