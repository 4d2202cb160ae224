package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On Docker everybody who may use the socket may have to wait for everybody else who does, whatever name the socket has for him.
func TestUsersOfDockerWaitForEachOther(t *testing.T) {
	o := newOnDocker(t)
	t.Cleanup(func() { _ = os.Remove("/run/lock/stack") }) // if nobody else uses it
	compose := "name: shared\nservices:\n  db:\n    image: " + testImage + `
    command: [sleep, "1000"]
    stop_grace_period: 0s
    healthcheck: {test: [CMD, "true"], interval: 1h}
  web:
    image: ` + testImage + `
    command: [sleep, "1000"]
    stop_grace_period: 0s
    depends_on: {db: {condition: service_healthy}}
`
	if err := os.WriteFile(filepath.Join(o.dir, "compose.yaml"), []byte(compose), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimPrefix(o.daemon.Host, "unix://")
	link := filepath.Join(o.dir, "docker.sock")
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{socket: 0o666, filepath.Dir(socket): 0o755, o.dir: 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}

	first := o.command(o.dir, "--host", o.daemon.Host, "up", "-d")
	out, err := first.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "shared-db-1 Waiting") {
	}

	// somebody else, and root by another address
	for name, cmd := range map[string]*exec.Cmd{
		"nobody": o.nobody(t, "--host", o.daemon.Host, "--lock-timeout", "0", "down"),
		"root":   o.command(o.dir, "--host", "unix://"+link, "--lock-timeout", "0", "down"),
	} {
		began := time.Now()
		out, err := cmd.CombinedOutput()
		t.Logf("%s: %s in %v", name, bytes.TrimSpace(out), time.Since(began))
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "stack up -d of root (process ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	// and somebody who waits
	second := o.nobody(t, "--host", o.daemon.Host, "down")
	waits, err := second.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Process.Kill() })
	said := bufio.NewScanner(waits)
	if !said.Scan() || !strings.Contains(said.Text(), "is working on project shared; waiting for it") {
		t.Errorf("it says %q", said.Text())
	}
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = first.Wait()
	for said.Scan() {
	}
	if err := second.Wait(); err != nil {
		t.Errorf("down: %v", err)
	}
	if left := o.ids(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if locks, err := filepath.Glob("/run/lock/stack/*.lock"); err == nil {
		for _, lock := range locks {
			if content, err := os.ReadFile(lock); err == nil && bytes.Contains(content, []byte(`"nobody"`)) {
				t.Errorf("left behind: %s", lock)
			}
		}
	}
}

// nobody runs the program without any right. It may not find the way to the program's file, so that it gets the file itself.
func (o *onDocker) nobody(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	file, err := os.Open(o.binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	cmd := exec.Command("/proc/self/fd/3", args...)
	cmd.Args[0] = "stack"
	cmd.Dir, cmd.ExtraFiles = o.dir, []*os.File{file}
	cmd.Env = []string{"HOME=" + o.dir, "PATH=" + os.Getenv("PATH")}
	asNobody(cmd)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return cmd
}
