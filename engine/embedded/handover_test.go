package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/enginetest"
)

// crashStep tells a child process, an engine that stops the container "old", before which step it is to be killed.
const crashStep = "STACK_TEST_CRASH_STEP"

// doom kills its process with SIGKILL when it has counted down.
type doom struct {
	left   atomic.Int64
	passed atomic.Bool // the sockets have
}

func (d *doom) step() {
	if d.left.Add(-1) < 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}

// doomedProcesses and doomedNetworks count the steps by which a container hands over.
type doomedProcesses struct {
	processes
	*doom
}

func (p doomedProcesses) SetPorts(ctx context.Context, ports map[string][]runtime.PortReservation) error {
	p.step()
	p.passed.Store(true)
	return p.processes.SetPorts(ctx, ports)
}

func (p doomedProcesses) SetNames(ctx context.Context, names runtime.Names) error {
	if p.passed.Load() { // else it is the table that every engine begins with
		p.step()
	}
	return p.processes.SetNames(ctx, names)
}

func (p doomedProcesses) Signal(ctx context.Context, id string, signal unix.Signal, all bool) error {
	p.step()
	return p.processes.Signal(ctx, id, signal, all)
}

type doomedNetworks struct {
	networks
	*doom
}

func (n doomedNetworks) HandOver(id string) (network.Handover, error) {
	n.step()
	return n.networks.HandOver(id)
}

// runDoomed opens an engine, stops the container "old", and is killed at the step.
func runDoomed(dir, step string) {
	e, err := Open(context.Background(), Options{Root: filepath.Join(dir, "root"), Run: filepath.Join(dir, "run")})
	d := &doom{}
	n, bad := strconv.ParseInt(step, 10, 64)
	if err = errors.Join(err, bad); err == nil {
		d.left.Store(n)
		e.runtime, e.networks = doomedProcesses{e.runtime, d}, doomedNetworks{e.networks, d}
		err = e.ContainerStop(context.Background(), "old", dockercontainer.StopOptions{})
	}
	fmt.Println("it has survived:", err)
	os.Exit(1)
}

// generations is an old container with a port and one that takes its place, in one engine.
type generations struct {
	t         *testing.T
	e         *Engine
	dir       string
	port      string
	old, next string
	ended     bool
}

func newGenerations(t *testing.T) *generations {
	t.Helper()
	g := &generations{t: t, dir: t.TempDir(), port: freeTCPPort(t)}
	g.e = openAt(t, g.dir)
	image := enginetest.ImportImage(t, g.e)
	if _, err := g.e.NetworkCreate(t.Context(), "net", dockernet.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g.old = g.serve(image, "old", nil)
	g.next = g.serve(image, "next", map[string]string{engine.LabelTakesOver: g.old})
	t.Cleanup(g.tidy)
	return g
}

// tidy leaves nothing behind of a test that has failed.
func (g *generations) tidy() {
	if g.ended {
		return
	}
	for _, id := range []string{g.old, g.next} {
		_ = g.e.ContainerRemove(context.Background(), id, dockercontainer.RemoveOptions{Force: true})
	}
	closeEngine(g.t, g.e)
}

func freeTCPPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// serve starts a server that does not mind its stop signal.
func (g *generations) serve(image, text string, labels map[string]string) string {
	g.t.Helper()
	script := "trap '' TERM; mkdir -p /www; echo " + text + " > /www/index.html; httpd -f -p 80 -h /www"
	made, err := g.e.ContainerCreate(g.t.Context(), text, engine.CreateConfig{
		Config:     &dockercontainer.Config{Image: image, Cmd: []string{"sh", "-c", script}, Labels: labels},
		Networking: &dockernet.NetworkingConfig{EndpointsConfig: map[string]*dockernet.EndpointSettings{"net": {Aliases: []string{"web"}}}},
		Host: &dockercontainer.HostConfig{NetworkMode: "net", PortBindings: nat.PortMap{"80/tcp": {{HostPort: g.port}}},
			RestartPolicy: dockercontainer.RestartPolicy{Name: "unless-stopped"}},
	})
	if err == nil {
		err = g.e.ContainerStart(g.t.Context(), made.ID)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	execIn(g.t, g.e, made.ID, "while ! wget -q -O /dev/null http://127.0.0.1/; do sleep 0.01; done")
	return made.ID
}

// settled checks that exactly one container has the port, in every respect, and returns its ID.
func (g *generations) settled() string {
	g.t.Helper()
	var owner string
	for _, id := range []string{g.old, g.next} {
		in, err := g.e.ContainerInspect(g.t.Context(), id)
		if err != nil {
			continue
		}
		bound := len(in.NetworkSettings.Ports["80/tcp"]) > 0
		if reserved, _ := g.e.networks.Reserved(id); (len(reserved) > 0) != bound {
			g.t.Errorf("container %s: the record tells ports %v, the network %v", in.Name, in.NetworkSettings.Ports, reserved)
		}
		if bound && owner != "" {
			g.t.Error("both have the port")
		}
		if bound {
			owner = id
		}
	}
	if owner == "" {
		g.t.Fatal("nobody has the port")
	}
	want := map[string]string{g.old: "old", g.next: "next"}[owner] + "\n"
	if got := g.answer(); got != want {
		g.t.Errorf("the port answers %q, want %q", got, want)
	}
	l, err := net.Listen("tcp4", ":"+g.port)
	if err == nil {
		l.Close()
		g.t.Error("another program can take the port")
	}
	return owner
}

// answer is what the port says.
func (g *generations) answer() string {
	g.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get("http://127.0.0.1:" + g.port)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

func (g *generations) end() {
	g.t.Helper()
	g.ended = true
	for _, id := range []string{g.old, g.next} {
		err := g.e.ContainerRemove(g.t.Context(), id, dockercontainer.RemoveOptions{Force: true})
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			g.t.Error(err)
		}
	}
	checkEmpty(g.t, g.e)
	closeEngine(g.t, g.e)
}

// The engine is killed before each of the steps by which a port and a name pass. The next one finds or makes one owner: the
// old container as long as nothing was decided, else the new one.
func TestAnEngineKilledHandingOver(t *testing.T) {
	for step, what := range []string{"anything", "the sockets pass", "the names pass", "the signal"} {
		t.Run("before "+what, func(t *testing.T) {
			g := newGenerations(t)
			closeEngine(t, g.e)
			child := exec.Command("/proc/self/exe", "-test.run", "^$")
			child.Env = append(os.Environ(), crashDir+"="+g.dir, crashStep+"="+strconv.Itoa(step))
			child.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
			if out, err := child.CombinedOutput(); !killed(err) {
				t.Fatalf("the engine ended with %v: %s", err, out)
			}
			g.e = openAt(t, g.dir)
			want := g.next
			if step == 0 {
				want = g.old
			}
			if owner := g.settled(); owner != want {
				t.Errorf("container %s has the port", owner)
			}
			at := 0
			if err := g.e.ContainerStop(t.Context(), g.old, dockercontainer.StopOptions{Timeout: &at}); err != nil {
				t.Error(err)
			}
			if owner := g.settled(); owner != g.next {
				t.Error("the stopped container has the port")
			}
			g.end()
		})
	}
}

// killed tells whether the process was ended by SIGKILL.
func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == unix.SIGKILL
}

// What ended while no engine was there has made way, too.
func TestAHolderThatEndsUnseen(t *testing.T) {
	g := newGenerations(t)
	pid := inspectPid(t, g.e, g.old)
	closeEngine(t, g.e)
	killAndAwait(t, pid)
	g.e = openAt(t, g.dir)
	// The shim may notice the end just when the engine comes back.
	if _, err := g.e.containers.Get(g.old).Await(t.Context(), func(m container.Moment) bool { return m.Exits > 0 }); err != nil {
		t.Fatal(err)
	}
	if owner := g.settled(); owner != g.next {
		t.Error("a dead container has the port")
	}
	g.end()
}

// A shim that dies in between forgets nobody's port.
func TestAShimThatDiesHandingOver(t *testing.T) {
	g := newGenerations(t)
	g.killShim()
	if owner := g.settled(); owner != g.old {
		t.Error("the new one has the port before its time")
	}
	if _, _, err := g.e.endAsked(t.Context(), g.e.containers.Get(g.old)); err != nil {
		t.Fatal(err)
	}
	if owner := g.settled(); owner != g.next {
		t.Error("the old one has the port although it is about to end")
	}
	g.killShim()
	if owner := g.settled(); owner != g.next {
		t.Error("the port went back")
	}
	g.end()
}

// killShim kills the shim and waits for the next one.
func (g *generations) killShim() {
	g.t.Helper()
	text, err := os.ReadFile(protocol.GroupDir(filepath.Join(g.dir, "run", "shims"), groupName("containers")).Pid())
	if err != nil {
		g.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		g.t.Fatal(err)
	}
	killAndAwait(g.t, pid)
	execIn(g.t, g.e, g.old, "true")
}

func inspectPid(t *testing.T, e *Engine, id string) int {
	t.Helper()
	in, err := e.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return in.State.Pid
}
