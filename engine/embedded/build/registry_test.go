package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
	dockerimage "github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

// startRegistry runs a registry on a port of this host and returns its address.
func startRegistry(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs docker-registry")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", dir, addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(messages)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening on") {
			go io.Copy(io.Discard, messages)
			return addr
		}
	}
	t.Fatal("the registry does not start")
	return ""
}

func TestBaseImageFromARegistry(t *testing.T) {
	addr := startRegistry(t)
	ctx := context.Background()
	base := addr + "/base:1"
	first := newBench(t)
	push := func(content string) {
		t.Helper()
		if _, out, err := first.build(build.ImageBuildOptions{Tags: []string{base}}, map[string]string{"Dockerfile": "FROM busybox\nRUN echo " + content + " > /base\n"}); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := first.images.Push(ctx, base, dockerimage.PushOptions{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	push("one")

	b := newBench(t)
	files := map[string]string{"Dockerfile": "FROM " + base + "\nRUN cat /base > /copy\n"}
	v, _ := b.mustBuild(build.ImageBuildOptions{Tags: []string{"app"}}, files)
	if got := v.read("/copy"); got != "one\n" {
		t.Errorf("built on a fetched image: %q", got)
	}
	if saved, err := b.images.Save(ctx, []string{"app"}); err != nil {
		t.Error(err)
	} else {
		if _, err := io.Copy(io.Discard, saved); err != nil {
			t.Errorf("an image built on a fetched one cannot be saved: %v", err)
		}
		saved.Close()
	}

	// An image of the name that is here wins, unless the newest one is asked for.
	if err := b.images.Pull(ctx, base, dockerimage.PullOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	push("two")
	if v, _ := b.mustBuild(build.ImageBuildOptions{}, files); v.read("/copy") != "one\n" {
		t.Errorf("without pull: %q", v.read("/copy"))
	}
	if v, _ := b.mustBuild(build.ImageBuildOptions{PullParent: true}, files); v.read("/copy") != "two\n" {
		t.Errorf("with pull: %q", v.read("/copy"))
	}

	_, _, err := b.build(build.ImageBuildOptions{}, map[string]string{"Dockerfile": "FROM " + addr + "/nothing\n"})
	if !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "Dockerfile:1: FROM "+addr+"/nothing: no such image here, and its registry has none either") {
		t.Errorf("a base image that the registry does not have: %v", err)
	}
}
