package e2e

import (
	"strings"
	"testing"
)

// TestRollback: after an image has changed under its name, rollback brings back the containers of the old one, and again those of
// the new one. An image that is gone is said before anything is done.
func TestRollback(t *testing.T) {
	h := newHost(t)
	h.busybox()
	bring := func(version string) string {
		t.Helper()
		dir := h.write("back", map[string]string{
			"compose.yaml": "services:\n  web:\n    build: .\n    command: sleep 3600\n    init: true\n    volumes: [data:/data]\nvolumes: {data: {}}\n",
			"Dockerfile":   "FROM e2e/busybox:1\nCOPY version /version\n",
			"version":      version + "\n",
		})
		h.stack(dir, "up", "-d", "--build")
		return dir
	}
	dir := bring("one")
	runs := func(want string) {
		t.Helper()
		if got := strings.TrimSpace(h.stack(dir, "exec", "-T", "web", "cat", "/version")); got != want {
			t.Errorf("version %s runs, want %s", got, want)
		}
	}
	first := strings.TrimSpace(h.stack(dir, "images", "-q"))
	h.stack(dir, "exec", "-T", "web", "sh", "-c", "echo kept >/data/file")
	bring("two")
	runs("two")
	if text := h.stack(dir, "--dry-run", "rollback"); !strings.Contains(text, "image changed") {
		t.Errorf("the dry run says:\n%s", text)
	}
	runs("two")
	h.stack(dir, "rollback")
	runs("one")
	if got := strings.TrimSpace(h.stack(dir, "images", "-q")); got != first {
		t.Errorf("image %s, at first it was %s", got, first)
	}
	if got := strings.TrimSpace(h.stack(dir, "exec", "-T", "web", "cat", "/data/file")); got != "kept" {
		t.Errorf("the volume has %q", got)
	}
	h.stack(dir, "rollback", "-t", "0")
	runs("two")

	h.stack(dir, "image", "rm", first)
	_, err := h.try(dir, "rollback")
	if err == nil || !strings.Contains(err.Error(), "image back-web of then") || !strings.Contains(err.Error(), first) {
		t.Errorf("without its image: %v", err)
	}
	runs("two")
	h.stack(dir, "down", "-v", "-t", "0")
	if _, err := h.try(dir, "rollback"); err == nil {
		t.Error("down forgets nothing")
	}
}
