package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const hooksProject = `
services:
  web:
    image: e2e/busybox:1
    command: [sh, -c, "trap 'exit 0' TERM; while :; do busybox sleep 0.1; done"]
    init: true
    environment: {WHO: web}
    volumes: [/scratch, "data:/data"]
    pre_start:
      - command: [sh, -c, "echo prepared by $$WHO with $$HOW > /scratch/order; busybox chmod 1777 /data; busybox hostname > /data/host; echo preparing"]
        environment: {HOW: care}
        hostname: hook
      - command: [sh, -c, "echo for each >> /scratch/order"]
        per_replica: true
    post_start:
      - command: [sh, -c, "cat /scratch/order; echo $$WHO $$X $$(busybox id -u) $$PWD >> /data/started"]
        user: "7"
        working_dir: /tmp
        environment: {X: extra}
      - command: [sh, -c, "FAIL"]
    pre_stop:
      - command: [sh, -c, "busybox grep -c CapEff.*ffff /proc/self/status > /data/stopped; echo leaving"]
        privileged: true
volumes:
  data:
`

// TestHooks: the hooks of a service run around its life, with the settings that they state.
func TestHooks(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("hooks", map[string]string{"compose.yaml": strings.Replace(hooksProject, "FAIL", "true", 1)})
	t.Cleanup(func() { h.stack(dir, "down", "-v", "-t", "0") })
	out, err := h.command(dir, "--progress", "plain", "up", "-d").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"hooks-web-1-pre_start-0 -> | preparing", "hooks-web-1 -> | prepared by web with care", "hooks-web-1 -> | for each"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	h.inWeb(dir, "cat /data/host /data/started", "hook\nweb extra 7 /tmp\n")
	if ps := h.stack(dir, "ps", "-a", "--all", "-q"); strings.Count(ps, "\n") != 1 {
		t.Errorf("containers:\n%s", ps)
	}
	h.stack(dir, "restart")
	h.inWeb(dir, "cat /data/stopped /data/started", "1\nweb extra 7 /tmp\nweb extra 7 /tmp\n")
	h.stack(dir, "up", "-d")
	h.inWeb(dir, "busybox wc -l < /data/started", "2\n")
	if out, err := h.command(dir, "--progress", "plain", "stop").CombinedOutput(); err != nil || !strings.Contains(string(out), "hooks-web-1 -> | leaving") {
		t.Errorf("stop: %v\n%s", err, out)
	}
	if out := h.stack(dir, "run", "--rm", "-T", "web", "sh", "-c", "cat /scratch/order 2>/dev/null; echo ran"); out != "ran\n" {
		t.Errorf("run printed %q", out)
	}
}

// inWeb runs a command in the service web, which has to print want.
func (h *host) inWeb(dir, command, want string) {
	h.t.Helper()
	if got := h.stack(dir, "exec", "-T", "web", "sh", "-c", command); got != want {
		h.t.Errorf("%s: got %q, want %q", command, got, want)
	}
}

// TestFailedHooks: a failure is named with what the hook printed, and what runs in the end is what ran before.
func TestFailedHooks(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("hooks", map[string]string{"compose.yaml": strings.Replace(hooksProject, "FAIL", "echo no luck; exit 4", 1)})
	t.Cleanup(func() { h.stack(dir, "down", "-v", "-t", "0") })
	_, err := h.try(dir, "up", "-d")
	if err == nil || !strings.Contains(err.Error(), "post_start[1] of service web failed in container hooks-web-1: exit 4") || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("error: %v", err)
	}
	if state := inspect(t, h, "hooks-web-1").State; state.Running {
		t.Error("the container runs, whose hook failed")
	}
	h.write("hooks", map[string]string{"compose.yaml": strings.Replace(hooksProject, "FAIL", "true", 1)})
	h.stack(dir, "up", "-d")
	before := inspect(t, h, "hooks-web-1").ID
	h.write("hooks", map[string]string{"compose.yaml": strings.Replace(hooksProject, "echo preparing", "exit 5", 1)})
	_, err = h.try(dir, "up", "-d")
	if err == nil || !strings.Contains(err.Error(), "pre_start[0] of service web failed: container hooks-web-1-pre_start-0 exited (5) and is kept") {
		t.Errorf("error: %v", err)
	}
	if now := inspect(t, h, "hooks-web-1"); now.ID != before || !now.State.Running {
		t.Errorf("the container that ran before: same %t, running %t", now.ID == before, now.State.Running)
	}
	if c := inspect(t, h, "hooks-web-1-pre_start-0"); c.State.ExitCode != 5 {
		t.Errorf("the hook's container exited with %d", c.State.ExitCode)
	}
}

const cloud = `#!/bin/sh
echo "$*" >> "$CLOUD_LOG"
case "$*" in
"compose metadata") echo '{"description":"clouds","up":{"parameters":[{"name":"size"}]},"down":{"parameters":[]},"stop":{"parameters":[]}}' ;;
*" up "*)
  echo '{"type":"info","message":"seeding"}'
  echo '{"type":"setenv","message":"URL='"$CLOUD_URL"'"}'
  echo '{"type":"rawsetenv","message":"REGION=north"}' ;;
esac
`

const modelRunner = `#!/bin/sh
echo "model $*" >> "$CLOUD_LOG"
case "$1" in
ls) echo '[]' ;;
status) echo '{"endpoint":"http://models/v1"}' ;;
esac
`

const providedProject = `
services:
  database:
    provider: {type: cloud, options: {size: 5, colour: red}}
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
    environment: {REGION: south}
    depends_on: [database]
    models: {llm: {model_var: BRAIN}}
models:
  llm: {model: ai/small, context_size: 99}
`

// TestProvidersAndModels: what programs beside the engine provide is part of the containers that ask for it.
func TestProvidersAndModels(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("cloudy", map[string]string{"compose.yaml": providedProject})
	_, err := h.try(dir, "up", "-d")
	for _, want := range []string{"compose.yaml:4:16: there is no provider cloud", "compose.yaml:11:5: models need the program docker-model"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without the programs: %v", err)
		}
	}
	for file, text := range map[string]string{"bin/cloud": cloud, "docker/cli-plugins/docker-model": modelRunner} {
		path := filepath.Join(h.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(h.dir, "cloud.log")
	t.Setenv("PATH", filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", filepath.Join(h.dir, "docker"))
	t.Setenv("CLOUD_LOG", log)
	t.Setenv("CLOUD_URL", "http://one")
	env := func(want ...string) {
		t.Helper()
		lines := strings.Split(h.stack(dir, "exec", "-T", "web", "busybox", "env"), "\n")
		for _, w := range want {
			if !slices.Contains(lines, w) {
				t.Errorf("%s is not in %q", w, lines)
			}
		}
	}
	h.stack(dir, "up", "-d")
	env("DATABASE_URL=http://one", "REGION=north", "LLM_URL=http://models/v1", "BRAIN=ai/small")
	first := inspect(t, h, "cloudy-web-1").ID
	h.stack(dir, "up", "-d")
	if inspect(t, h, "cloudy-web-1").ID != first {
		t.Error("the container was replaced, and nothing has changed")
	}
	t.Setenv("CLOUD_URL", "http://two")
	h.stack(dir, "up", "-d")
	env("DATABASE_URL=http://two")
	if out := h.stack(dir, "run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "echo $DATABASE_URL $LLM_URL"); out != "http://two http://models/v1\n" {
		t.Errorf("run printed %q", out)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	h.stack(dir, "stop", "-t", "0")
	h.stack(dir, "down", "-t", "0")
	text, err := os.ReadFile(log)
	if want := "compose metadata\ncompose --project-name=cloudy stop database\ncompose metadata\ncompose --project-name=cloudy down database\n"; string(text) != want {
		t.Errorf("at the end: %v\n%s", err, text)
	}
}

// TestAPISocket: a service that uses the engine's API finds it where clients look, with what docker login stored.
func TestAPISocket(t *testing.T) {
	h := newHost(t)
	h.busybox()
	t.Setenv("DOCKER_CONFIG", filepath.Join(h.dir, "docker"))
	h.write("docker", map[string]string{"config.json": `{"auths":{"registry.example":{"auth":"dTpw"}}}`})
	dir := h.write("api", map[string]string{"compose.yaml": `
services:
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
    use_api_socket: true
`})
	t.Cleanup(func() { h.stack(dir, "down", "-t", "0") })
	h.stack(dir, "up", "-d")
	socket := fmt.Sprintf("/proc/%d/root/var/run/docker.sock", inspect(t, h, "api-web-1").State.Pid)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	if code, body := (site{t, "http://engine"}).answer(client.Get("http://engine/_ping")); code != http.StatusOK || body != "OK" {
		t.Errorf("the engine in the container answers %d: %s", code, body)
	}
	if out := h.stack(dir, "exec", "-T", "web", "sh", "-c", "cat $DOCKER_CONFIG/config.json"); !strings.Contains(out, "dTpw") {
		t.Errorf("credentials: %s", out)
	}
	h.write("docker", map[string]string{"config.json": `{}`})
	if out := h.stack(dir, "plan"); out != "nothing to do\n" {
		t.Errorf("with other credentials:\n%s", out)
	}
}
