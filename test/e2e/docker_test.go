package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/engine/enginetest/dockerd"
)

const loopProject = `
name: loop
services:
  db:
    image: ` + testImage + `
    command: ["sh", "-c", "touch /data/ready; exec sleep 1000"]
    stop_grace_period: 0s
    volumes: ["data:/data"]
    tmpfs: ["/scratch:size=1m"]
    networks:
      front: {aliases: [database]}
      back: {aliases: [store]}
    healthcheck:
      test: ["CMD", "test", "-f", "/data/ready"]
      interval: 500ms
      start_period: 10s
      start_interval: 100ms
  web:
    image: ` + testImage + `
    command: ["sh", "-c", "echo serving; exec httpd -f -p 80 -h /www"]
    stop_grace_period: 0s
    env_file: [web.env]
    restart: unless-stopped
    networks: [front, back]
    ports: ["18080:80"]
    configs: [{source: page, target: /www/index.html}]
    depends_on:
      db: {condition: service_healthy}
  app:
    build: app
    command: ["sleep", "1000"]
    stop_grace_period: 0s
    networks: [front]
  once:
    image: ` + testImage + `
    profiles: [extra]
    network_mode: none
    command: ["sh", "-c", "echo one; echo two; exit 3"]
networks:
  front: {}
  back: {internal: true}
volumes:
  data: {}
configs:
  page: {content: "a page\n"}
`

// onDocker is stack on a real Docker. Its own engine has nothing to do.
type onDocker struct {
	*host
	daemon *dockerd.Daemon
	dir    string
	docker *client
}

func newOnDocker(t *testing.T) *onDocker {
	t.Helper()
	d := dockerd.Start(t)
	h := newHost(t)
	o := &onDocker{host: h, daemon: d, docker: newClient(t, h, "/usr/bin/docker", d.Host)}
	o.dir = h.dir
	o.do("image", "import", h.imageFile(), testImage)
	return o
}

// do runs a command that has to succeed and returns what it wrote to standard output.
func (o *onDocker) do(args ...string) string {
	o.t.Helper()
	return o.stack(o.dir, append([]string{"--host", o.daemon.Host}, args...)...)
}

// told runs a command and returns everything that it wrote, and its exit code.
func (o *onDocker) told(args ...string) (string, int) {
	o.t.Helper()
	cmd := o.command(o.dir, append([]string{"--host", o.daemon.Host}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ids are the containers, by name.
func (o *onDocker) ids() map[string]string {
	o.t.Helper()
	out := map[string]string{}
	for _, line := range sortedLines(o.docker.do("ps", "-a", "--no-trunc", "--format", "{{.Names}}={{.ID}}")) {
		name, id, _ := strings.Cut(line, "=")
		out[name] = id
	}
	return out
}

// fetch reads a page where the daemon publishes its ports.
func (o *onDocker) fetch(url string) string {
	o.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return o.daemon.Dial(ctx, network, address)
		},
	}}
	res, err := client.Get(url)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(body)
}

// unchanged says that nothing is left to do.
func (o *onDocker) unchanged() {
	o.t.Helper()
	before := o.ids()
	if out, code := o.told("plan"); code != 0 {
		o.t.Errorf("plan ended with %d:\n%s", code, out)
	}
	o.do("up", "-d")
	for name, id := range o.ids() {
		if before[name] != id {
			o.t.Errorf("%s was made anew, and nothing had changed", name)
		}
	}
}

func TestTheLoopOnDocker(t *testing.T) {
	o := newOnDocker(t)
	o.dir = o.write("loop", map[string]string{"compose.yaml": loopProject, "web.env": "GREETING=hello\n"})
	o.write("loop/app", map[string]string{
		"Dockerfile": "FROM " + testImage + "\nRUN echo built > /built\nCOPY file /file\n",
		"file":       "copied\n",
	})
	out, code := o.told("up", "-d")
	if code != 0 || !strings.Contains(out, "start_interval of the health check has no effect") {
		t.Fatalf("up ended with %d:\n%s", code, out)
	}
	o.unchanged()
	if page := o.fetch("http://127.0.0.1:18080/"); page != "a page\n" {
		t.Errorf("the published port answers %q", page)
	}
	for _, name := range []string{"database", "store"} {
		o.do("exec", "-T", "web", "nslookup", name)
	}
	if got := o.do("exec", "-T", "app", "cat", "/built", "/file"); got != "built\ncopied\n" {
		t.Errorf("the built image has %q", got)
	}
	o.changes()
	o.oneOffs()

	o.do("restart", "db")
	o.do("--profile", "extra", "down", "-v")
	if left := o.ids(); len(left) != 0 {
		t.Errorf("down left %v", left)
	}
	for _, kind := range []string{"network", "volume"} {
		if left := o.docker.do(kind, "ls", "-q", "--filter", "label=com.docker.compose.project=loop"); left != "" {
			t.Errorf("down left the %ss %s", kind, left)
		}
	}
}

// changes recreates exactly what changed.
func (o *onDocker) changes() {
	o.t.Helper()
	before := o.ids()
	if err := os.WriteFile(filepath.Join(o.dir, "web.env"), []byte("GREETING=goodbye\n"), 0o600); err != nil {
		o.t.Fatal(err)
	}
	if out, code := o.told("plan"); code != 2 || !strings.Contains(out, "environment GREETING changed") {
		o.t.Errorf("plan ended with %d:\n%s", code, out)
	}
	o.do("up", "-d")
	for name, id := range o.ids() {
		if changed := before[name] != id; changed != (name == "loop-web-1") {
			o.t.Errorf("%s is another container: %v", name, changed)
		}
	}
	if got := o.do("exec", "-T", "web", "sh", "-c", "echo $GREETING; cat /www/index.html"); got != "goodbye\na page\n" {
		o.t.Errorf("the new container has %q", got)
	}
	for _, c := range []struct{ n, want string }{{"3", "loop-app-1 loop-app-2 loop-app-3"}, {"1", "loop-app-1"}} {
		o.do("up", "-d", "--scale", "app="+c.n)
		if got := strings.Join(sortedLines(o.docker.do("ps", "--filter", "name=app", "--format", "{{.Names}}")), " "); got != c.want {
			o.t.Errorf("at scale %s there are %s", c.n, got)
		}
	}
}

// oneOffs run commands and containers that end.
func (o *onDocker) oneOffs() {
	o.t.Helper()
	if out, code := o.told("exec", "-T", "web", "sh", "-c", "exit 5"); code != 5 {
		o.t.Errorf("exec ended with %d:\n%s", code, out)
	}
	if out, code := o.told("run", "--rm", "-T", "web", "sh", "-c", "echo $GREETING; exit 4"); code != 4 || !strings.Contains(out, "goodbye\n") {
		o.t.Errorf("run ended with %d:\n%s", code, out)
	}
	o.do("--profile", "extra", "up", "-d", "once")
	if got := o.do("--profile", "extra", "logs", "-f", "--no-log-prefix", "once"); !strings.HasPrefix(got, "one\ntwo\n") {
		o.t.Errorf("the logs are %q", got)
	}
	if left := o.docker.do("ps", "-aq", "--filter", "label=com.docker.compose.oneoff=True"); left != "" {
		o.t.Errorf("run --rm left %s", left)
	}
}

// oldProject is one that docker-compose 1.29 understands too.
const oldProject = `
version: "3.8"
services:
  db:
    image: ` + testImage + `
    command: ["sh", "-c", "echo db up; exec sleep 1000"]
    init: true
    stop_grace_period: 0s
    volumes: ["data:/data"]
    networks: {back: {aliases: [store]}}
  web:
    image: ` + testImage + `
    command: ["sh", "-c", "echo web up; exec httpd -f -p 80 -h /etc"]
    init: true
    stop_grace_period: 0s
    ports: ["18081:80"]
    networks: [front, back]
    depends_on: [db]
networks: {front: {}, back: {}}
volumes: {data: {}}
`

func TestProjectsAreSharedWithDockerCompose(t *testing.T) {
	o := newOnDocker(t)
	o.dir = o.write("old", map[string]string{"docker-compose.yml": oldProject})
	compose := newClient(t, o.host, "docker-compose", o.daemon.Host)
	compose.dir = o.dir

	compose.do("up", "-d")
	o.do("exec", "-T", "db", "sh", "-c", "echo kept > /data/file")
	for command, want := range map[string]string{"ls": "old", "ps": "old_web_1", "logs": "web up"} {
		if got := o.do(command); !strings.Contains(got, want) {
			t.Errorf("of docker-compose's project, %s shows\n%s", command, got)
		}
	}
	o.do("up", "-d")
	o.unchanged()
	if names := o.ids(); len(names) != 2 || names["old-db-1"] == "" || names["old-web-1"] == "" {
		t.Errorf("taken over, there are %v", names)
	}
	if got := o.do("exec", "-T", "db", "cat", "/data/file"); got != "kept\n" {
		t.Errorf("the volume has %q", got)
	}

	compose.wants([]string{"old-db-1", "old-web-1", "18081->80/tcp"}, "ps")
	compose.wants([]string{"db up", "web up"}, "logs")
	compose.wants([]string{"kept"}, "exec", "-T", "db", "cat", "/data/file")
	compose.do("up", "-d")
	if names := o.ids(); len(names) != 2 {
		t.Errorf("taken back, there are %v", names)
	}
	compose.do("down", "-v")
	if left := o.ids(); len(left) != 0 {
		t.Errorf("docker-compose down left %v", left)
	}
	if out := o.do("ls"); strings.Contains(out, "old") {
		t.Errorf("ls shows what is gone:\n%s", out)
	}
}

// TestHooksOnDocker: hooks and the API socket are the loop's and not the engine's. A daemon in a sandbox cannot give a process
// all capabilities, so no hook is privileged here.
func TestHooksOnDocker(t *testing.T) {
	o := newOnDocker(t)
	t.Setenv("DOCKER_CONFIG", filepath.Join(o.host.dir, "nothing"))
	text := strings.NewReplacer("e2e/busybox:1", testImage, "FAIL", "true", "        privileged: true\n", "", "    init: true\n", "    use_api_socket: true\n    stop_grace_period: 0s\n").Replace(hooksProject)
	o.dir = o.write("hooks", map[string]string{"compose.yaml": text})
	t.Cleanup(func() { o.told("down", "-v", "-t", "0") })
	out, code := o.told("--progress", "plain", "up", "-d")
	for _, want := range []string{"hooks-web-1-pre_start-0 -> | preparing", "hooks-web-1 -> | prepared by web with care", "hooks-web-1 -> | for each"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d: %q is not in:\n%s", code, want, out)
		}
	}
	if got := o.do("exec", "-T", "web", "sh", "-c", "cat /data/host /data/started; cat /scratch/order; test -S /var/run/docker.sock && echo socket"); got != "hook\nweb extra 7 /tmp\nprepared by web with care\nfor each\nsocket\n" {
		t.Errorf("got %q", got)
	}
	o.unchanged()
	if out, code := o.told("--progress", "plain", "down", "-v"); code != 0 || !strings.Contains(out, "hooks-web-1 -> | leaving") {
		t.Errorf("down: %d\n%s", code, out)
	}
	if left := o.ids(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
