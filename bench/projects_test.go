package bench

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// service is the text of one service below "services:".
type service func(i int) string

func sleeping(int) string {
	return "    image: " + busybox + "\n    command: [\"/bin/busybox\", \"sleep\", \"3600\"]\n    stop_signal: KILL\n"
}

// publishing is a sleeping service with a port of the host.
func publishing(i int) string {
	return sleeping(i) + fmt.Sprintf("    ports: [\"%d:80\"]\n", 38000+i)
}

// serving answers HTTP on a port of the host.
func serving(i int) string {
	return "    image: " + busybox + "\n    command: [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/bin\"]\n    stop_signal: KILL\n" +
		fmt.Sprintf("    ports: [\"%d:80\"]\n", 38000+i)
}

// chained is a healthy service that waits for the one before it.
func chained(i int) string {
	text := sleeping(i) + "    healthcheck:\n      test: [\"CMD\", \"/bin/busybox\", \"true\"]\n      interval: 100ms\n      timeout: 2s\n      retries: 20\n"
	if i > 0 {
		text += fmt.Sprintf("    depends_on:\n      s%d:\n        condition: service_healthy\n", i-1)
	}
	return text
}

// ordinary says about a service as much as people usually do. Services like it are read only, never started.
func ordinary(i int) string {
	text := fmt.Sprintf(`    image: registry.example.com/team/s%d:${TAG:-1.2}
    command: ["serve", "--port", "80"]
    environment: {MODE: production, WORKERS: 3, DATABASE_URL: "postgres://db/${NAME:-app}"}
    ports: ["%d:80"]
    volumes: ["./src:/src:ro", "./data/%d:/data"]
    labels: [team=a, "traefik.enable=true"]
    healthcheck: {test: [CMD, "true"], interval: 10s, timeout: 1s, retries: 3}
    restart: unless-stopped
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m}}}
`, i, 38000+i, i)
	if i > 0 {
		text += "    depends_on: {s0: {condition: service_healthy}}\n"
	}
	return text
}

// project writes a compose.yaml of n services into a folder of its own.
func project(t testing.TB, name string, n int, s service) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n%s", i, s(i))
	}
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The name that every Compose finds, the oldest too.
	if err := os.WriteFile(filepath.Join(dir, "docker-compose.yml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// busyboxRootfs is a root file system that holds the static busybox of Debian and nothing else.
func busyboxRootfs() (io.Reader, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (Debian's package busybox-static)", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"bin/", "etc/", "tmp/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	for _, applet := range []string{"sh", "sleep", "true", "httpd", "rm"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}); err != nil {
			return nil, err
		}
	}
	return &b, w.Close()
}
