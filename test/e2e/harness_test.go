// Package e2e runs the real program on real containers and looks at what a user would see.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds what is waited for; nothing is expected to take that long.
const patience = 30 * time.Second

// program is bin/stack, as make build leaves it.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("STACK_TEST_BINARY")
	if path == "" {
		path, _ = filepath.Abs("../../bin/stack")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

// host is a place with an engine of its own.
type host struct {
	t      testing.TB
	binary string
	dir    string // short, because sockets are below it
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := makeHost(t)
	t.Cleanup(func() {
		if err := h.end(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// makeHost makes one that whoever calls has to end.
func makeHost(t testing.TB) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	binary := program(t)
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, binary: binary, dir: dir}
}

// end stops the engine and removes what it had.
func (h *host) end() error {
	if out, err := h.command(h.dir, "engine", "stop").CombinedOutput(); err != nil {
		return fmt.Errorf("engine stop: %w\n%s", err, out)
	}
	return os.RemoveAll(h.dir)
}

// builder is a host for the tests of the examples, which run one after the other: what they build takes most of their time, and most
// of it is the same.
var builder *host

// examplesHost is the same one for all who ask, with the base image that the examples' Dockerfiles begin with. TestMain ends it.
func examplesHost(t testing.TB) *host {
	t.Helper()
	if builder == nil {
		h := makeHost(t)
		builder = h
		h.base()
	}
	builder.t = t
	return builder
}

// endExamples ends what examplesHost made, and says whether all is well.
func endExamples() bool {
	if builder == nil {
		return true
	}
	err := builder.end()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return err == nil
}

// base gives the host debian:bookworm-slim, which the examples' Dockerfiles begin with.
func (h *host) base() {
	h.t.Helper()
	tar := os.Getenv("STACK_TEST_BASE_IMAGE")
	if tar == "" {
		tar, _ = filepath.Abs("../../.cache/debian-bookworm-slim.tar")
	}
	h.stack(h.dir, "image", "import", tar, "debian:bookworm-slim")
}

func (h *host) env() []string {
	env := []string{"STACK_ROOT=" + filepath.Join(h.dir, "root"), "STACK_RUN=" + filepath.Join(h.dir, "run")}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "STACK_ROOT", "STACK_RUN", "STACK_HOST", "DOCKER_HOST", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME":
		default:
			env = append(env, v)
		}
	}
	return env
}

func (h *host) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(h.binary, args...)
	cmd.Dir, cmd.Env = dir, h.env()
	return cmd
}

// stack runs a command that has to succeed and returns its standard output.
func (h *host) stack(dir string, args ...string) string {
	h.t.Helper()
	out, err := h.try(dir, args...)
	if err != nil {
		h.t.Fatalf("stack %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// try runs a command. The error holds what it wrote to standard error.
func (h *host) try(dir string, args ...string) (string, error) {
	cmd := h.command(dir, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s%s", err, out.String(), errs.String())
	}
	return out.String(), nil
}

// status is what engine status says.
type status struct {
	Pid    int    `json:"pid"`
	Socket string `json:"socket"`
}

func (h *host) status() status {
	h.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(h.stack(h.dir, "engine", "status", "--format", "json")), &s); err != nil || s.Pid == 0 {
		h.t.Fatalf("engine status: %+v, %v", s, err)
	}
	return s
}

// docker runs Debian's docker CLI on the engine's socket.
func (h *host) docker(args ...string) string {
	h.t.Helper()
	binary := "/usr/bin/docker"
	if _, err := os.Stat(binary); err != nil {
		binary = "docker"
	}
	cmd := exec.Command(binary, append([]string{"-H", "unix://" + h.status().Socket}, args...)...)
	cmd.Env = append(h.env(), "DOCKER_CONFIG="+h.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// example copies one of the examples, so that a test may edit it.
func (h *host) example(name string) string {
	h.t.Helper()
	dir, err := os.MkdirTemp(h.dir, name)
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(filepath.Join("../../examples", name)))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return dir
}

// setEnv changes variables in the .env file of a folder.
func setEnv(t testing.TB, dir string, values map[string]string) {
	t.Helper()
	file := filepath.Join(dir, ".env")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "=")
		if v, ok := values[name]; ok {
			line = name + "=" + v + "\n"
		}
		b.WriteString(line)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freePort is a TCP port that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// site is a web site of a project.
type site struct {
	t    testing.TB
	base string
}

func (s site) get(path string) (int, string) {
	s.t.Helper()
	return s.answer(http.Get(s.base + path))
}

func (s site) post(path string, values url.Values) (int, string) {
	s.t.Helper()
	return s.answer(http.PostForm(s.base+path, values))
}

func (s site) answer(res *http.Response, err error) (int, string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// until asks again until the answer is what it should be: for what changes by itself, such as a file that is watched.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v in vain: %s", patience, what)
		case <-tick.C:
		}
	}
}
