// Package registry starts a real image registry for a test.
package registry

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// binary is the server of Debian's package docker-registry.
const binary = "docker-registry"

// configuration keeps everything in memory and takes any free port.
const configuration = `
version: 0.1
log: {level: info}
storage: {inmemory: {}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0"}
`

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// Start starts a registry that ends with the test and returns its address, "127.0.0.1:PORT". run starts the process, for
// example in another network namespace; nil starts it here. Where there is no registry to start, the address is empty.
func Start(t testing.TB, run func(*exec.Cmd) error) string {
	t.Helper()
	path, err := exec.LookPath(binary)
	if err != nil {
		t.Logf("no registry: %v", err)
		return ""
	}
	config := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if run == nil {
		run = (*exec.Cmd).Start
	}
	if err := run(cmd); err != nil {
		t.Fatalf("cannot start the registry: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := awaitAddress(bufio.NewScanner(output))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// awaitAddress reads the log until it tells the address, and then goes on so that the process can write.
func awaitAddress(log *bufio.Scanner) (string, error) {
	var text string
	for log.Scan() {
		if found := listening.FindStringSubmatch(log.Text()); found != nil {
			go func() {
				for log.Scan() {
				}
			}()
			return found[1], nil
		}
		text += log.Text() + "\n"
	}
	return "", fmt.Errorf("the registry ended without listening:\n%s", text)
}
