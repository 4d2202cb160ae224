package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/enginetest"
)

func bindOf(source string) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: "/b"}
}

// openAt opens an engine over a directory in which another one may have been.
func openAt(t testing.TB, dir string) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	began := time.Now()
	e, err := Open(context.Background(), Options{Root: filepath.Join(dir, "root"), Run: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("opened with %d containers in %v", len(e.containers.All()), time.Since(began).Round(time.Millisecond))
	return e
}

func start(t testing.TB, e *Engine, name string, cfg engine.CreateConfig) *container.Container {
	t.Helper()
	made, err := e.ContainerCreate(t.Context(), name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ContainerStart(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	c, err := e.find(made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closeEngine(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("closing the engine: %v", err)
	}
}

func TestContainersOutliveTheEngine(t *testing.T) {
	dir := t.TempDir()
	e := openAt(t, dir)
	image := enginetest.ImportImage(t, e)
	if _, err := e.NetworkCreate(t.Context(), "net", dockernet.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	run := func(name string, policy dockercontainer.RestartPolicyMode) *container.Container {
		return start(t, e, name, engine.CreateConfig{
			Config: &dockercontainer.Config{Image: image, Cmd: []string{"sh", "-c", "echo $$; sleep 1000"}},
			Host:   &dockercontainer.HostConfig{NetworkMode: "net", RestartPolicy: dockercontainer.RestartPolicy{Name: policy}},
		})
	}
	runs, killed, restarted := run("runs", "no"), run("killed", "no"), run("restarted", "always")
	var pids = map[string]int{}
	for _, c := range []*container.Container{runs, killed, restarted} {
		pids[c.ID] = c.State().Pid
	}
	address := runs.Record().Live["net"].IPAddress
	closeEngine(t, e)

	for _, c := range []*container.Container{killed, restarted} {
		killAndAwait(t, pids[c.ID])
	}
	e = openAt(t, dir)
	defer closeEngine(t, e)
	if s := e.containers.Get(runs.ID).State(); !s.Active() || s.Pid != pids[runs.ID] {
		t.Errorf("what ran on is %+v", s)
	}
	if got := e.containers.Get(runs.ID).Record().Live["net"]; got == nil || got.IPAddress != address {
		t.Errorf("its address is %+v, want %s", got, address)
	}
	// The shim may notice an end just when the engine comes back.
	m, err := e.containers.Get(killed.ID).Await(t.Context(), ended)
	if err != nil || m.State.ExitCode != 137 {
		t.Errorf("what was killed is %+v, %v", m.State, err)
	}
	again := e.containers.Get(restarted.ID)
	m, err = again.Await(t.Context(), func(m container.Moment) bool { return m.State.Active() && m.State.RestartCount > 0 })
	if err != nil || m.State.Pid == pids[restarted.ID] || m.State.RestartCount != 1 {
		t.Errorf("what was to be restarted is %+v, %v", m.State, err)
	}
	if out := execIn(t, e, "runs", "nslookup restarted"); !strings.Contains(out, again.Record().Live["net"].IPAddress) {
		t.Errorf("the name of the restarted one resolves to %q", out)
	}
	for _, name := range []string{"runs", "killed", "restarted"} {
		if err := e.ContainerRemove(t.Context(), name, dockercontainer.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
	if err := e.NetworkRemove(t.Context(), "net"); err != nil {
		t.Error(err)
	}
}

// killAndAwait kills the process and waits until it has ended.
func killAndAwait(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n == 1 {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

func execIn(t *testing.T, e *Engine, name, script string) string {
	t.Helper()
	id, err := e.ExecCreate(t.Context(), name, dockercontainer.ExecOptions{Cmd: []string{"sh", "-c", script}, AttachStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := e.ExecStart(t.Context(), id, false, engine.AttachOptions{Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAPortOfAnotherProgramIsNamedAndNothingIsLeft(t *testing.T) {
	e := open(t)
	image := enginetest.ImportImage(t, e)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	made, err := e.ContainerCreate(t.Context(), "web", engine.CreateConfig{
		Config: &dockercontainer.Config{Image: image, Cmd: []string{"sleep", "1000"}, ExposedPorts: nat.PortSet{"80/tcp": {}}},
		Host:   &dockercontainer.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: port}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = e.ContainerStart(t.Context(), made.ID)
	if !errors.Is(err, engine.ErrConflict) || !strings.Contains(fmt.Sprint(err), port) {
		t.Errorf("got %v, want a conflict that names port %s", err, port)
	}
	taken.Close()
	if err := e.ContainerStart(t.Context(), made.ID); err != nil {
		t.Errorf("when the port is free: %v", err)
	}
	if err := e.ContainerRemove(t.Context(), made.ID, dockercontainer.RemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

func TestABindThatIsMissing(t *testing.T) {
	e := open(t)
	image := enginetest.ImportImage(t, e)
	missing := filepath.Join(t.TempDir(), "missing")
	cfg := engine.CreateConfig{Config: &dockercontainer.Config{Image: image, Cmd: []string{"ls", "/b"}}, Host: &dockercontainer.HostConfig{}}
	cfg.Host.Mounts = append(cfg.Host.Mounts, bindOf(missing))
	made, err := e.ContainerCreate(t.Context(), "", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ContainerStart(t.Context(), made.ID); !errors.Is(err, engine.ErrInvalid) || !strings.Contains(fmt.Sprint(err), missing) {
		t.Errorf("got %v, want an error that names %s", err, missing)
	}
	if err := e.ContainerRemove(t.Context(), made.ID, dockercontainer.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}
