package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// busybox is an image of one static program, which the small tests run.
const busybox = "e2e/busybox:1"

func (h *host) busybox() {
	h.t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		h.t.Fatalf("%v (Debian's package busybox-static)", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(header tar.Header, body []byte) {
		header.Size = int64(len(body))
		if err := w.WriteHeader(&header); err != nil {
			h.t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/"} {
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, applet := range strings.Fields("sh sleep true false cat echo ls nslookup wget nc httpd") {
		add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.dir, "busybox.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.stack(h.dir, "image", "import", file, busybox)
}

// write makes a folder of files.
func (h *host) write(name string, files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

const runs = `services:
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
`

// TestMistakes: each mistake gets one clear message that names the cause and the place, and what ran goes on running.
func TestMistakes(t *testing.T) {
	h := newHost(t)
	h.busybox()
	taken, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // what the message holds
	}{
		{"YAML", map[string]string{"compose.yaml": runs + "  db:\n    image: [unclosed\n"}, []string{"compose.yaml:"}},
		{"a tab", map[string]string{"compose.yaml": runs + "  db:\n\timage: e2e/busybox:1\n"}, []string{"compose.yaml:7:1", "tab"}},
		{"an unknown key", map[string]string{"compose.yaml": runs + "  db:\n    imagee: e2e/busybox:1\n"}, []string{"compose.yaml:7:5", "imagee", "image"}},
		{"a missing image", map[string]string{"compose.yaml": runs + "  db:\n    image: 127.0.0.1:1/no/such:1\n"}, []string{"127.0.0.1:1/no/such:1", "connection refused"}},
		{"a taken port", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:1\n    command: sleep 3600\n    ports: [\"" + port + ":80\"]\n"}, []string{"db", port, "allocated"}},
		{"port 0 inside", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:1\n    ports: [\"8080:0\"]\n"}, []string{"compose.yaml:8:", "65535"}},
		{"port 65536", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:1\n    ports: [\"65536:80\"]\n"}, []string{"compose.yaml:8:", "65536", "65535"}},
		{"a required variable", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:${TAG:?say which}\n"}, []string{"compose.yaml:7:", "TAG", "say which"}},
		{"a cycle", map[string]string{"compose.yaml": runs + "    depends_on: [db]\n  db:\n    image: e2e/busybox:1\n    depends_on: [web]\n"}, []string{"compose.yaml:", "depend on each other", "db → web → db"}},
		{"a failing Dockerfile", map[string]string{
			"compose.yaml": runs + "  db:\n    build: .\n",
			"Dockerfile":   "FROM e2e/busybox:1\nRUN echo about to fail; exit 7\n",
		}, []string{"Dockerfile:2", "exit", "7", "about to fail"}},
		{"a Dockerfile with a typing error", map[string]string{
			"compose.yaml": runs + "  db:\n    build: .\n",
			"Dockerfile":   "FROM e2e/busybox:1\nRUNN true\n",
		}, []string{"Dockerfile:2", "RUNN"}},
		{"a command that is not there", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:1\n    command: no-such-program\n"}, []string{"db", "no-such-program"}},
		{"a bind mount of nothing", map[string]string{"compose.yaml": runs + "  db:\n    image: e2e/busybox:1\n    command: sleep 3600\n    volumes:\n      - type: bind\n        source: ./nothing\n        target: /x\n        bind: {create_host_path: false}\n"}, []string{"nothing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			dir := h.write("mistake", map[string]string{"compose.yaml": runs})
			h.stack(dir, "up", "-d")
			id := h.stack(dir, "ps", "-q", "web")
			h.write("mistake", c.files)

			out, err := h.try(dir, "up", "-d")
			if err == nil {
				t.Fatalf("up -d accepts it:\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not hold %q:\n%v", want, err)
				}
			}
			h.write("mistake", map[string]string{"compose.yaml": runs})
			if now := h.stack(dir, "ps", "-q", "--status", "running", "web"); now != id || id == "" {
				t.Errorf("web was %q and is %q", id, now)
			}
			h.stack(dir, "down", "-v", "-t", "0", "--remove-orphans")
			if left := h.stack(dir, "ps", "-a", "-q"); left != "" {
				t.Errorf("down left %q", left)
			}
			h.t = t
		})
	}
	h.t = t
}

// TestNoPermission: who may not use the engine is told so, and which.
func TestNoPermission(t *testing.T) {
	h := newHost(t)
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := h.write("web", map[string]string{"compose.yaml": runs})
	cmd := h.command(dir, "up", "-d")
	asNobody(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "needs root") {
		t.Errorf("up -d as nobody: %v\n%s", err, out)
	}

	h.busybox()
	h.stack(dir, "up", "-d")
	cmd = h.command(dir, "ps")
	asNobody(cmd)
	out, err = cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no permission") || !strings.Contains(string(out), h.dir) {
		t.Errorf("ps as nobody on root's engine: %v\n%s", err, out)
	}
	h.stack(dir, "down", "-t", "0")
}

// TestFullDisk: the message says so, what ran goes on, and with room again everything works.
func TestFullDisk(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.stack(h.dir, "engine", "stop")
		if err := unix.Unmount(root, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", root, err)
		}
	})
	h.busybox()
	dir := h.write("full", map[string]string{"compose.yaml": runs})
	h.stack(dir, "up", "-d")
	id := h.stack(dir, "ps", "-q", "web")

	ballast := filepath.Join(root, "ballast")
	fill(t, ballast)
	h.write("full", map[string]string{"compose.yaml": runs + "  db:\n    build: .\n", "Dockerfile": "FROM e2e/busybox:1\nCOPY ballast /\n", "ballast": strings.Repeat("x", 1<<20)})
	if _, err := h.try(dir, "up", "-d"); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("up -d on a full disk: %v", err)
	}
	if now := h.stack(dir, "ps", "-q", "--status", "running", "web"); now != id {
		t.Errorf("web was %q and is %q", id, now)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	h.write("full", map[string]string{"Dockerfile": "FROM e2e/busybox:1\nCMD [\"sleep\", \"3600\"]\n"})
	h.stack(dir, "up", "-d")
	h.stack(dir, "down", "-v", "-t", "0")
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		chunk := bytes.Repeat([]byte{'x'}, size)
		for {
			if n, err := f.Write(chunk); err != nil || n == 0 {
				break
			}
		}
	}
	if _, err := f.Write([]byte{'x'}); err == nil || err == io.ErrShortWrite {
		t.Fatal("the disk is not full")
	}
}
