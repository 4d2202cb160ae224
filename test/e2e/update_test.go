package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// webProgram is the program of package web, built to run in any image.
func webProgram(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "web")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the web server: %v\n%s", err, out)
	}
	return path
}

// webImage is an image with the program and the version, as a file to import.
func webImage(t testing.TB, program, version string) string {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range map[string][]byte{"web": content, "version": []byte(version)} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := program + version + ".tar"
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// shop is a project whose web server is updated.
type shop struct {
	order    string
	replicas int
	port     string // of the host; "" for none
	rude     bool   // the server ends at once when it is asked to
}

// text is the project with the image's version. Its client asks by name all the time, unless there is a port.
func (s shop) text(version int) string {
	flags := ""
	if s.rude {
		flags = ", -rude"
	}
	text := fmt.Sprintf(`name: shop
services:
  web:
    image: e2e/web:%d
    command: [/web, serve, -text, v%d, -work, 5ms, -slow, 300ms%s]
    stop_grace_period: 20s
    healthcheck: {test: [CMD, /web, check], interval: 100ms, timeout: 10s, retries: 100}
    deploy:
      replicas: %d
      update_config: {order: %s, monitor: 200ms}
`, version, version, flags, s.replicas, s.order)
	if s.port != "" {
		return text + "    ports: [\"" + s.port + ":80\"]\n"
	}
	return text + `  client:
    image: e2e/web:1
    command: [/web, load, "web:80"]
    stop_grace_period: 30s
    depends_on:
      web: {condition: service_healthy}
`
}

// result is what the client counts.
type result struct {
	Sent, Failed    int
	Answers, Errors map[string]int
	Slowest         time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("%d of %d requests failed, the slowest took %v; answers %v, errors %v",
		r.Failed, r.Sent, r.Slowest.Round(time.Millisecond), r.Answers, r.Errors)
}

func readResult(t testing.TB, text string) (r result) {
	t.Helper()
	text = text[strings.Index(text, "{"):]
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("the client printed %q: %v", text, err)
	}
	return r
}

// shopkeeper runs commands on some engine.
type shopkeeper struct {
	t    *testing.T
	dir  string
	web  string // the program
	cmd  func(args ...string) string
	shop shop
}

// stock builds the program and imports the images of its two versions.
func stock(t *testing.T, dir string, cmd func(args ...string) string) (web string) {
	t.Helper()
	web = webProgram(t, dir)
	for _, version := range []string{"1", "2"} {
		cmd("image", "import", webImage(t, web, version), "e2e/web:"+version)
	}
	return web
}

func keepShop(t *testing.T, web string, s shop, cmd func(args ...string) string) *shopkeeper {
	t.Helper()
	k := &shopkeeper{t: t, dir: filepath.Dir(web), web: web, cmd: cmd, shop: s}
	k.write(1)
	t.Cleanup(func() { k.cmd("-f", k.file(), "down", "-t", "0") })
	k.cmd("-f", k.file(), "up", "-d", "--wait")
	return k
}

func (k *shopkeeper) file() string { return filepath.Join(k.dir, "shop.yaml") }

func (k *shopkeeper) write(version int) {
	k.t.Helper()
	if err := os.WriteFile(k.file(), []byte(k.shop.text(version)), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

// update changes the image while somebody asks all the time, and returns what they got.
func (k *shopkeeper) update() result {
	k.t.Helper()
	asked := k.askNames
	if k.shop.port != "" {
		asked = k.askPort()
	}
	time.Sleep(steady)
	k.write(2)
	k.cmd("-f", k.file(), "up", "-d")
	time.Sleep(steady)
	r := asked()
	k.t.Logf("%s, %d replicas, port %q, rude %t: %v", k.shop.order, k.shop.replicas, k.shop.port, k.shop.rude, r)
	if r.Answers["v1"] == 0 || r.Answers["v2"] == 0 {
		k.t.Errorf("not both versions have answered: %v", r)
	}
	return r
}

// steady is how long the load lasts before and after the update: it is a measurement.
const steady = time.Second

// askPort asks the published port from the host until the function is called.
func (k *shopkeeper) askPort() func() result {
	k.t.Helper()
	client := exec.Command(k.web, "load", "127.0.0.1:"+k.shop.port)
	var out, errs bytes.Buffer
	client.Stdout, client.Stderr = &out, &errs
	in, err := client.StdinPipe()
	if err == nil {
		err = client.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return func() result {
		k.t.Helper()
		if err := in.Close(); err != nil {
			k.t.Fatal(err)
		}
		if err := client.Wait(); err != nil {
			k.t.Fatalf("%v\n%s", err, errs.String())
		}
		return readResult(k.t, out.String())
	}
}

// askNames ends the client of the project, which has asked since it was started.
func (k *shopkeeper) askNames() result {
	k.t.Helper()
	k.cmd("-f", k.file(), "stop", "client")
	return readResult(k.t, k.cmd("-f", k.file(), "logs", "--no-log-prefix", "client"))
}

// TestUpdateUnderLoad: no request fails while a service is updated with the new container first, at 200 requests a second over
// as many connections.
func TestUpdateUnderLoad(t *testing.T) {
	h := newHost(t)
	cmd := func(args ...string) string { return h.stack(h.dir, args...) }
	web := stock(t, h.dir, cmd)
	for _, c := range []struct {
		name   string
		shop   shop
		answer bool // every request is to be answered
	}{
		{"one container with a port", shop{order: "start-first", replicas: 1, port: freePort(t)}, true},
		{"three containers behind a name", shop{order: "start-first", replicas: 3}, true},
		{"one that ends at once, with a port", shop{order: "start-first", replicas: 1, port: freePort(t), rude: true}, true},
		{"three that end at once, behind a name", shop{order: "start-first", replicas: 3, rude: true}, true},
		{"stopped first, with a port", shop{order: "stop-first", replicas: 1, port: freePort(t)}, false},
		{"stopped first, behind a name", shop{order: "stop-first", replicas: 3}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			r := keepShop(t, web, c.shop, cmd).update()
			if c.answer && r.Failed > 0 {
				t.Errorf("%v", r)
			}
		})
	}
	h.t = t
}

// TestUpdateUnderLoadOnDocker measures the same there, where names change when the old container has ended and no earlier.
func TestUpdateUnderLoadOnDocker(t *testing.T) {
	o := newOnDocker(t)
	keepShop(t, stock(t, o.host.dir, o.do), shop{order: "start-first", replicas: 3}, o.do).update()
}
