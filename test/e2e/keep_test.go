package e2e

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const keptFile = `services:
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
    depends_on: [db]
  db:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
`

// removeByAPI removes a container as tools do that know nothing of projects.
func (h *host) removeByAPI(name string) {
	h.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.status().Socket)
	}}}
	req, _ := http.NewRequest(http.MethodDelete, "http://engine/containers/"+name+"?force=1", nil)
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		h.t.Fatalf("removing %s: %s", name, resp.Status)
	}
}

// shown are the project's containers, each with its state.
func (h *host) shown(dir string) string {
	out, _ := h.try(dir, "ps", "-a", "--format", "{{.Service}} {{.State}}")
	return strings.ReplaceAll(strings.TrimSpace(out), "\n", ", ")
}

func (h *host) idOf(dir, service string) string {
	out, _ := h.try(dir, "ps", "-q", "--no-trunc", service)
	return strings.TrimSpace(out)
}

// TestKeep: the engine keeps a project as its files say, does not undo what people want, and the next engine goes on.
func TestKeep(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("kept", map[string]string{"compose.yaml": keptFile})
	h.stack(dir, "up", "-d", "--keep", "-t", "0")
	again := func(what, service string, do func()) {
		t.Helper()
		before := h.idOf(dir, service)
		do()
		until(t, what, func() bool { now := h.idOf(dir, service); return now != "" && now != before })
	}
	again("a removed container is made again", "web", func() { h.removeByAPI("kept-web-1") })

	h.stack(dir, "stop", "-t", "0", "web")
	again("what is beside a stopped service", "db", func() { h.removeByAPI("kept-db-1") })
	if got := h.shown(dir); got != "db running, web exited" {
		t.Errorf("after stop: %s", got)
	}
	h.stack(dir, "start")

	again("a changed file is carried out", "db", func() {
		h.write("kept", map[string]string{"compose.yaml": keptFile + "    environment: {A: b}\n"})
	})
	web := h.idOf(dir, "web")
	h.write("kept", map[string]string{"compose.yaml": keptFile + "    enviroment: {A: c}\n"})
	until(t, "a broken file is reported", func() bool {
		text, _ := os.ReadFile(filepath.Join(h.dir, "root", "engine.log"))
		return strings.Contains(string(text), "left as it is until its files are mended") && strings.Contains(string(text), `compose.yaml:11:5: unknown key \"enviroment\"`)
	})
	h.write("kept", map[string]string{"compose.yaml": keptFile + "    environment: {A: b}\n"})
	if got := h.idOf(dir, "web"); got != web {
		t.Error("a broken file has changed what runs")
	}

	if err := syscall.Kill(h.status().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.stack(dir, "ps")
	again("the next engine goes on", "web", func() { h.removeByAPI("kept-web-1") })

	h.stack(dir, "down", "-t", "0")
	if _, err := os.Stat(filepath.Join(h.dir, "root", "keep", "kept.json")); err == nil {
		t.Error("down does not end the keeping")
	}
	if got := h.shown(dir); got != "" {
		t.Errorf("after down: %s", got)
	}
}

// TestKeepRestartsUnhealthy: x-stack asks for it.
func TestKeepRestartsUnhealthy(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("ill", map[string]string{"compose.yaml": `services:
  web:
    image: e2e/busybox:1
    command: sh -c 'test -e /second && touch /well; touch /second; exec sleep 3600'
    init: true
    stop_grace_period: 0s
    healthcheck: {test: "test -e /well", interval: 100ms, retries: 1}
    x-stack: {restart_unhealthy: true}
`})
	h.stack(dir, "up", "-d", "--keep")
	until(t, "it becomes healthy by a restart", func() bool {
		out, _ := h.try(dir, "ps", "--format", "{{.Health}}")
		return strings.TrimSpace(out) == "healthy"
	})
	h.stack(dir, "down", "-t", "0")
}

// TestUpStaysConvergedOnDocker: in the foreground no engine of ours is needed for it. Health checks of Docker's tell of each run,
// which must not keep stack busy.
func TestUpStaysConvergedOnDocker(t *testing.T) {
	o := newOnDocker(t)
	text := strings.NewReplacer("e2e/busybox:1", testImage, "    init: true\n", "    stop_grace_period: 0s\n").Replace(keptFile)
	o.dir = o.write("stays", map[string]string{"compose.yaml": text})
	t.Cleanup(func() { o.told("down", "-v", "-t", "0") })
	up := o.command(o.dir, "--host", o.daemon.Host, "--progress", "plain", "up")
	var out bytes.Buffer
	up.Stdout, up.Stderr = &out, &out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if up.ProcessState == nil {
			_ = up.Process.Kill()
			_ = up.Wait()
		}
		if t.Failed() {
			t.Logf("up said:\n%s", out.String())
		}
	})
	running := func(name string) bool {
		return strings.TrimSpace(o.docker.do("ps", "-q", "-f", "name="+name)) != ""
	}
	until(t, "it comes up", func() bool { return running("stays-web-1") })
	for _, name := range []string{"stays-web-1", "stays-db-1"} {
		before := o.ids()[name]
		o.docker.do("rm", "-f", name)
		until(t, name+" is made again", func() bool { now := o.ids()[name]; return now != "" && now != before && running(name) })
	}
	o.docker.do("stop", "-t", "0", "stays-web-1")
	o.write("stays", map[string]string{"compose.yaml": text + "    environment: {A: b}\n"})
	until(t, "a changed file is carried out", func() bool { return strings.Contains(o.docker.do("inspect", "stays-db-1"), `"A=b"`) })
	if running("stays-web-1") {
		t.Error("docker stop was undone")
	}
	if err := up.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = up.Wait()
	if code := up.ProcessState.ExitCode(); code != 130 || running("stays-db-1") {
		t.Errorf("after Ctrl-C: code %d\n%s", code, out.String())
	}
}
