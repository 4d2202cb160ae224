package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/engine/enginetest"
)

// testImage is what the tests of foreign clients and engines run.
const testImage = "e2e/clients:1"

// imageFile is an archive of a root file system with Busybox.
func (h *host) imageFile() string {
	h.t.Helper()
	var tar bytes.Buffer
	if _, err := tar.ReadFrom(enginetest.Rootfs(h.t)); err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.dir, "image.tar")
	if err := os.WriteFile(file, tar.Bytes(), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// client is a program of somebody else's that speaks to an engine.
type client struct {
	t       testing.TB
	h       *host
	program string
	dir     string // where it runs
	socket  string // unix:///…
	input   string
}

// newClient finds the program; without it the test is skipped.
func newClient(t testing.TB, h *host, program, socket string) *client {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("needs %s: %v", program, err)
	}
	return &client{t: t, h: h, program: path, dir: h.dir, socket: socket}
}

// run runs a command and returns what it wrote to standard output and standard error, and its exit code.
func (c *client) run(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.program, args...)
	cmd.Dir = c.dir
	cmd.Env = append(c.h.env(), "DOCKER_HOST="+c.socket, "DOCKER_CONFIG="+c.h.dir, "DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0")
	cmd.Stdin = strings.NewReader(c.input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// do runs a command that has to succeed and returns its standard output.
func (c *client) do(args ...string) string {
	c.t.Helper()
	out, errs, code := c.run(args...)
	if code != 0 {
		c.t.Fatalf("%s %s ended with %d:\n%s%s", c.program, strings.Join(args, " "), code, out, errs)
	}
	return out
}

// wants runs a command that has to succeed and to write the words.
func (c *client) wants(words []string, args ...string) {
	c.t.Helper()
	out, errs, code := c.run(args...)
	for _, w := range words {
		if code != 0 || !strings.Contains(out+errs, w) {
			c.t.Errorf("%s %s ended with %d, without %q:\n%s%s", c.program, strings.Join(args, " "), code, w, out, errs)
			return
		}
	}
}

// ends runs a command that has to end with the code.
func (c *client) ends(code int, args ...string) {
	c.t.Helper()
	if out, errs, got := c.run(args...); got != code {
		c.t.Errorf("%s %s ended with %d, want %d:\n%s%s", c.program, strings.Join(args, " "), got, code, out, errs)
	}
}

func sortedLines(text string) []string {
	lines := strings.Fields(text)
	slices.Sort(lines)
	return lines
}
