package e2e

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	dockerclient "github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine/enginetest/registry"
)

// newServer is the embedded engine, kept for programs that cannot start it.
func newServer(t *testing.T) (h *host, socket string) {
	t.Helper()
	h = newHost(t)
	h.stack(h.dir, "engine", "env")
	h.stack(h.dir, "image", "import", h.imageFile(), testImage)
	return h, "unix://" + h.status().Socket
}

func TestDockerCommandsOnOurSocket(t *testing.T) {
	h, socket := newServer(t)
	address := registry.Start(t, nil)
	for _, program := range []string{"/usr/bin/docker", "/usr/local/bin/docker"} {
		t.Run(program, func(t *testing.T) {
			c := newClient(t, h, program, socket)
			c.do("run", "-d", "--name", "web", "-p", "127.0.0.1::80", testImage, "sh", "-c", "echo started; exec httpd -f -p 80 -h /etc")
			dockerContainers(c)
			dockerFiles(c)
			dockerNetworks(c)
			c.do("rm", "-f", "web")
			dockerImages(c, address)
			c.wants([]string{"Server Version"}, "system", "info")
			c.wants([]string{"1.51"}, "version")
		})
	}
}

func dockerContainers(c *client) {
	c.t.Helper()
	if out, errs, code := c.run("run", "--rm", testImage, "sh", "-c", "echo out; echo err >&2; exit 7"); out != "out\n" || errs != "err\n" || code != 7 {
		c.t.Errorf("run wrote %q and %q and ended with %d", out, errs, code)
	}
	if _, errs, code := c.run("run", "--rm", testImage, "nosuchcommand"); code != 127 || strings.Contains(errs, "Error waiting") {
		c.t.Errorf("a command that is not there ended with %d:\n%s", code, errs)
	}
	c.wants([]string{"web\n"}, "ps", "--format", "{{.Names}}")
	c.wants([]string{"started"}, "logs", "web")
	c.ends(5, "exec", "web", "sh", "-c", "exit 5")
	c.input = "typed"
	c.wants([]string{"typed"}, "exec", "-i", "web", "cat")
	c.input = ""
	c.wants([]string{"httpd"}, "top", "web")
	c.wants([]string{"web"}, "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
	c.wants([]string{"running"}, "inspect", "-f", "{{.State.Status}}", "web")
	c.do("pause", "web")
	c.do("unpause", "web")

	c.do("run", "-d", "--name", "short", "--init", testImage, "sh", "-c", "echo a; sleep 1000")
	c.do("stop", "-t", "0", "short")
	c.wants([]string{"137"}, "wait", "short")
	c.wants([]string{"a\n"}, "logs", "-f", "short")
	c.do("rm", "short")
	c.ends(1, "rm", "short")
	c.wants([]string{"container create", "container destroy"}, "events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}")
}

func dockerFiles(c *client) {
	c.t.Helper()
	file, back := filepath.Join(c.h.dir, "file"), filepath.Join(c.h.dir, "back")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.do("cp", file, "web:/tmp/there")
	c.do("cp", "web:/tmp/there", back)
	if got, err := os.ReadFile(back); string(got) != "content" {
		c.t.Errorf("cp brought back %q, %v", got, err)
	}
	c.do("volume", "create", "vol")
	c.do("run", "--rm", "-v", "vol:/v", testImage, "sh", "-c", "echo kept > /v/file")
	c.wants([]string{"kept"}, "run", "--rm", "-v", "vol:/v", testImage, "cat", "/v/file")
	c.do("volume", "rm", "vol")
}

func dockerNetworks(c *client) {
	c.t.Helper()
	c.do("network", "create", "net")
	c.do("network", "connect", "--alias", "other", "net", "web")
	c.wants([]string{`"web"`}, "network", "inspect", "net")
	c.wants([]string{"root:x:0"}, "run", "--rm", "--network", "net", testImage, "wget", "-qO-", "http://other/passwd")
	c.ends(1, "network", "rm", "net")
	c.do("network", "disconnect", "net", "web")
	c.do("network", "rm", "net")
}

func dockerImages(c *client, registry string) {
	c.t.Helper()
	if registry != "" {
		name := registry + "/some/image:1"
		c.do("tag", testImage, name)
		c.do("push", name)
		c.do("rmi", name)
		c.do("pull", name)
		c.do("rmi", name)
	}
	archive := filepath.Join(c.h.dir, "saved.tar")
	c.do("save", "-o", archive, testImage)
	c.wants([]string{testImage}, "load", "-i", archive)
	dir := c.h.write("build", map[string]string{
		"Dockerfile": "FROM " + testImage + "\nARG WORD\nRUN echo $WORD > /built\nCOPY Dockerfile /copied\n",
	})
	c.do("build", "-t", "built:1", "--build-arg", "WORD=said", dir)
	c.wants([]string{"said", "ARG WORD"}, "run", "--rm", "built:1", "cat", "/built", "/copied")
	c.do("rmi", "built:1")
}

func TestDockerComposeOnOurSocket(t *testing.T) {
	h, socket := newServer(t)
	c := newClient(t, h, "docker-compose", socket)
	c.dir = h.write("old", map[string]string{"docker-compose.yml": strings.Replace(oldProject, "18081:80", "127.0.0.1::80", 1)})
	c.do("up", "-d")
	c.wants([]string{"old_db_1", "old_web_1", "Up"}, "ps")
	c.wants([]string{"db up", "web up"}, "logs")
	c.wants([]string{"store"}, "exec", "-T", "web", "nslookup", "store")
	c.ends(3, "exec", "-T", "web", "sh", "-c", "exit 3")
	c.wants([]string{"up-to-date"}, "up", "-d")
	c.wants([]string{"once"}, "run", "--rm", "web", "echo", "once")
	if code, _ := (site{t, "http://" + strings.TrimSpace(c.do("port", "web", "80"))}).get("/passwd"); code != http.StatusOK {
		t.Errorf("the published port answers %d", code)
	}
	c.do("restart", "-t", "0")
	if out := h.stack(c.dir, "ps"); !strings.Contains(out, "old_web_1") {
		t.Errorf("stack ps shows\n%s", out)
	}
	c.do("down", "-v")
	if out := h.stack(c.dir, "ps", "-aq"); out != "" {
		t.Errorf("down left %s", out)
	}
}

// TestAGoProgramOnOurSocket does what Testcontainers does: start, wait for a line of the log and for the mapped port, end.
func TestAGoProgramOnOurSocket(t *testing.T) {
	_, socket := newServer(t)
	api, err := dockerclient.NewClientWithOpts(dockerclient.WithHost(socket), dockerclient.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made, err := api.ContainerCreate(ctx, &container.Config{
		Image: testImage, Cmd: []string{"sh", "-c", "echo ready to serve; exec httpd -f -p 80 -h /etc"},
		ExposedPorts: nat.PortSet{"80/tcp": {}}, Labels: map[string]string{"org.testcontainers": "true"},
	}, &container.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{}}}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := api.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLine(ctx, t, api, made.ID, "ready to serve")
	c, err := api.ContainerInspect(ctx, made.ID)
	if err != nil || len(c.NetworkSettings.Ports["80/tcp"]) == 0 {
		t.Fatalf("ports are %+v, %v", c.NetworkSettings, err)
	}
	port := c.NetworkSettings.Ports["80/tcp"][0].HostPort
	until(t, "the port answers", func() bool {
		res, err := http.Get("http://127.0.0.1:" + port + "/passwd")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	if err := api.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ContainerInspect(ctx, made.ID); !dockerclient.IsErrNotFound(err) { //nolint:staticcheck // what programs use
		t.Errorf("it is still there: %v", err)
	}
}

func awaitLine(ctx context.Context, t testing.TB, api *dockerclient.Client, id, want string) {
	t.Helper()
	logs, err := api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		defer write.Close()
		_, _ = stdcopy.StdCopy(write, write, logs) // ends when logs is closed
	}()
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if strings.Contains(lines.Text(), want) {
			return
		}
	}
	t.Fatalf("the log ended without %q", want)
}
