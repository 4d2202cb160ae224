package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/enginetest/dockerd"
)

// busybox is the image that every row runs: one static program.
const busybox = "bench/busybox:1"

// tool is a program that runs Compose projects, with the engine that it drives.
type tool struct {
	name   string
	binary string
	env    []string
	engine engine.Engine
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	host   string               // the engine's address, of the peer
	files  func(pid int) string // where the files of a container's process are seen from here

	forgiven bool // a failed command is tried again

	// resident sums the memory of the tool's own processes, in bytes. nil: not measured.
	resident func() (int64, error)
}

// run executes one command of the tool in the project's folder and says how long the whole process took. A command of the peer
// that fails is tried once more, and the second try counts: its faults are not what is measured.
func (u *tool) run(t testing.TB, project string, args ...string) time.Duration {
	t.Helper()
	took, err := u.try(project, args)
	if err != nil && u.forgiven {
		fmt.Printf("%s %s failed and is tried again\n", u.name, strings.Join(args, " "))
		took, err = u.try(project, args)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", u.name, strings.Join(args, " "), err)
	}
	return took
}

func (u *tool) try(project string, args []string) (time.Duration, error) {
	cmd := exec.Command(u.binary, args...)
	cmd.Dir, cmd.Env = project, u.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	return took, err
}

// newStack gives stack an engine of its own below dir.
func newStack(t testing.TB, binary string) *tool {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		t.Fatal(err)
	}
	u := &tool{
		name:   "stack",
		binary: binary,
		env:    append(os.Environ(), "STACK_ROOT="+filepath.Join(dir, "root"), "STACK_RUN="+filepath.Join(dir, "run"), "DOCKER_HOST=", "STACK_HOST="),
		dial:   new(net.Dialer).DialContext,
		files:  func(pid int) string { return fmt.Sprintf("/proc/%d/root", pid) },
	}
	t.Cleanup(func() {
		u.run(t, dir, "engine", "stop")
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	u.run(t, dir, "image", "ls")
	var status struct {
		Pid    int    `json:"pid"`
		Socket string `json:"socket"`
	}
	cmd := exec.Command(binary, "engine", "status", "--format", "json")
	cmd.Env = u.env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatalf("cannot read %q: %v", out, err)
	}
	u.engine = connect(t, "unix://"+status.Socket)
	u.resident = func() (int64, error) { return pssOf(status.Pid, filepath.Join(dir, "run")) }
	return u
}

// newPeer finds Docker Compose and Docker, or returns nil.
func newPeer(t testing.TB) *tool {
	binary := os.Getenv("COMPOSE_BIN")
	if binary == "" {
		binary, _ = exec.LookPath("docker-compose")
	}
	if binary == "" {
		return nil
	}
	host, dial, files := os.Getenv("DOCKER_HOST"), new(net.Dialer).DialContext, func(pid int) string { return fmt.Sprintf("/proc/%d/root", pid) }
	if host == "" {
		d := dockerd.Start(t)
		host, dial, files = d.Host, d.Dial, d.Root
	}
	return &tool{
		name:     "compose",
		forgiven: true,
		binary:   binary,
		env:      append(os.Environ(), "DOCKER_HOST="+host, "COMPOSE_IGNORE_ORPHANS=1"),
		engine:   connect(t, host),
		dial:     dial,
		host:     host,
		files:    files,
	}
}

// on is stack on the engine that the other tool drives.
func (u *tool) on(other *tool) *tool {
	if other == nil {
		return nil
	}
	return &tool{name: u.name + " on " + other.name, binary: u.binary, env: append(slices.Clone(u.env), "STACK_HOST="+other.host), engine: other.engine, dial: other.dial, files: other.files}
}

func connect(t testing.TB, host string) engine.Engine {
	e, err := docker.New(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// provide puts the image of the rows into the tool's engine.
func (u *tool) provide(t testing.TB) {
	t.Helper()
	rootfs, err := busyboxRootfs()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.engine.ImageImport(context.Background(), rootfs, busybox, image.ImportOptions{}); err != nil {
		t.Fatalf("%s cannot import %s: %v", u.name, busybox, err)
	}
}

// pssOf sums the proportional memory of the engine and of its shims, which are known by the engine's run folder.
func pssOf(pid int, runDir string) (int64, error) {
	total, err := pss(pid)
	if err != nil {
		return 0, err
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range procs {
		cmdline, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(cmdline, []byte(runDir)) || strings.HasPrefix(file, fmt.Sprintf("/proc/%d/", pid)) {
			continue
		}
		var shim int
		if _, err := fmt.Sscanf(file, "/proc/%d/cmdline", &shim); err != nil {
			return 0, err
		}
		n, err := pss(shim)
		if err != nil {
			continue // it has gone meanwhile
		}
		total += n
	}
	return total, nil
}

func pss(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &kb); err == nil {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("no Pss of process %d", pid)
}
