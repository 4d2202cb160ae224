package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// secretBuild has what every BuildKit since Docker 20.10 can do: secrets, SSH keys, a Dockerfile in the project's file.
const secretBuild = `services:
  web:
    image: e2e/built:1
    build:
      context: ./app
      secrets: [token, {source: file, target: other}]
      ssh: ["default=./key"]
      dockerfile_inline: |
        FROM e2e/busybox:1
        COPY page /page
        RUN --mount=type=secret,id=token --mount=type=secret,id=other,mode=0404 --mount=type=ssh \
          cat /run/secrets/token /run/secrets/other >/all; test -S $SSH_AUTH_SOCK; ls -l /run/secrets/other >/mode
    command: cat /page /all /mode
secrets:
  token: {environment: TOKEN}
  file: {file: ./secret}
`

// contextBuild has what newer ones can do: further contexts, of folders and of other services, stages that are built
// anew, and caches.
const contextBuild = `services:
  base:
    profiles: [never]
    build: {context: ./base}
  web:
    image: e2e/built:2
    build:
      context: ./app
      dockerfile_inline: |
        FROM base AS first
        RUN cat /hello >/again
        FROM first AS last
        COPY --from=more more.txt /more
        RUN cat /proc/sys/kernel/random/uuid >/when
      additional_contexts: {base: "service:base", more: ./more}
      no_cache_filter: [last]
      cache_to: ["type=local,dest=./cache"]
    command: cat /again /more /when
`

func buildProject(h *host, name, text string) string {
	h.t.Helper()
	dir := h.write(name, map[string]string{"compose.yaml": text, "secret": "from the file\n"})
	h.write(name+"/app", map[string]string{"page": "the page\n"})
	h.write(name+"/base", map[string]string{"Dockerfile": "FROM e2e/busybox:1\nRUN echo hello >/hello\n"})
	h.write(name+"/more", map[string]string{"more.txt": "more\n"})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), pem.EncodeToMemory(block), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func TestBuilds(t *testing.T) {
	t.Setenv("TOKEN", "from the environment")
	h := newHost(t)
	h.busybox()
	dir := buildProject(h, "secrets", secretBuild)
	wantSecrets(t, h.stack(dir, "run", "--rm", "-T", "web"))

	dir = buildProject(h, "contexts", contextBuild)
	first := h.stack(dir, "run", "--rm", "-T", "--build", "web")
	if !strings.HasPrefix(first, "hello\nmore\n") {
		t.Errorf("it prints %q", first)
	}
	if again := h.stack(dir, "run", "--rm", "-T", "--build", "web"); again == first {
		t.Errorf("the stage was not built anew: %q", again)
	}
	if _, err := os.Stat(filepath.Join(dir, "cache", "index.json")); err != nil {
		t.Errorf("no cache was written: %v", err)
	}
	h.stack(dir, "down", "-t", "0")
}

// On Docker the same client code speaks with Docker's BuildKit.
func TestBuildsOnDocker(t *testing.T) {
	t.Setenv("TOKEN", "from the environment")
	o := newOnDocker(t)
	o.do("image", "tag", testImage, busybox)
	dir := buildProject(o.host, "secrets", secretBuild)
	wantSecrets(t, o.stack(dir, "--host", o.daemon.Host, "run", "--rm", "-T", "web"))
}

func wantSecrets(t *testing.T, printed string) {
	t.Helper()
	if !strings.HasPrefix(printed, "the page\nfrom the environmentfrom the file\n-r-----r--") {
		t.Errorf("it prints %q", printed)
	}
}
