package runtime

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

func TestUsers(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name, user string
		groups     []string
		want       string
	}{
		{"default", "", nil, "uid=0(root) gid=0(root)\n/root\n"},
		{"name", "ann", nil, "uid=1000(ann) gid=1001(staff) groups=10(wheel)\n/home/ann\n"},
		{"number", "1000", nil, "uid=1000(ann) gid=1001(staff) groups=10(wheel)\n/home/ann\n"},
		{"unknown-number", "77:88", nil, "uid=77 gid=88\n/\n"},
		{"group", "ann:audio", nil, "uid=1000(ann) gid=29(audio)\n/home/ann\n"},
		{"more-groups", "1000:1001", []string{"audio", "44"}, "uid=1000(ann) gid=1001(staff) groups=29(audio),44\n/home/ann\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := w.container(tc.name, "sh", "-c", "id; echo $HOME")
			c.User, c.GroupAdd = tc.user, tc.groups
			w.run(c)
			w.awaitExit(tc.name)
			if got := w.log(tc.name, "stdout"); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
	for _, user := range []string{"nobody-there", "ann:nothere", "-1"} {
		c := w.container("bad", "true")
		c.User = user
		if _, err := w.Create(context.Background(), c); !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), user) {
			t.Errorf("user %q: %v", user, err)
		}
	}
	w.run(w.container("host", "sleep", "1000"))
	if out, _ := w.sh("host", ExecConfig{User: "ann"}, "id -u; echo $HOME"); out != "1000\n/home/ann\n" {
		t.Errorf("exec as another user: %q", out)
	}
}

// TestHostileDatabase has an image whose /etc/passwd leads out of it.
func TestHostileDatabase(t *testing.T) {
	w := newWorld(t)
	secret := filepath.Join(w.dir, "passwd")
	must(t, os.WriteFile(secret, []byte("evil:x:4242:4242::/:/bin/sh\n"), 0o644))
	for name, plant := range map[string]func(path string) error{
		"absolute-link": func(path string) error { return os.Symlink(secret, path) },
		"relative-link": func(path string) error { return os.Symlink(strings.Repeat("../", 30)+secret[1:], path) },
		"self-link":     func(path string) error { return os.Symlink("passwd", path) },
		"proc-link":     func(path string) error { return os.Symlink("/proc/self/environ", path) },
		"fifo":          func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"directory":     func(path string) error { return os.Mkdir(path, 0o755) },
		"device":        func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|5) },
	} {
		t.Run(name, func(t *testing.T) {
			c := w.container(name, "true")
			must(t, os.MkdirAll(filepath.Join(c.Rootfs.Upper, "etc"), 0o755))
			must(t, plant(filepath.Join(c.Rootfs.Upper, "etc/passwd")))
			c.User = "evil"
			if _, err := w.Create(context.Background(), c); !errors.Is(err, engine.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			c.User = "5:6"
			w.run(c)
			w.awaitExit(name)
		})
	}
}

func TestPorts(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	c := w.container("ports", "sleep", "1000")
	c.Ports = []PortReservation{{HostIP: netip.MustParseAddr("127.0.0.1"), Port: uint16(taken), Proto: "tcp"}}
	_, err = w.Create(context.Background(), c)
	if !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "already allocated by ") {
		t.Errorf("a taken port: %v", err)
	}
	l.Close()
	c.Ports = append(c.Ports, PortReservation{Port: uint16(taken), Proto: "udp"})
	w.run(c)
	other := w.container("other", "true")
	other.Ports = c.Ports[1:]
	if _, err := w.Create(context.Background(), other); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a reserved port: %v", err)
	}
	w.killShims()
	w.sh("ports", ExecConfig{}, "true")
	if l, err := net.Listen("tcp4", c.Ports[0].HostIP.String()+":"+itoa(taken)); err == nil {
		l.Close()
		t.Error("the port was not reserved after the shim died")
	}
	must(t, w.Signal(context.Background(), "ports", syscall.SIGKILL, false))
	w.awaitExit("ports")
	if l, err = net.Listen("tcp4", c.Ports[0].HostIP.String()+":"+itoa(taken)); err != nil {
		t.Errorf("the port is not given back: %v", err)
	}
}

func TestConfinement(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name   string
		change func(*Container)
		want   string // CapPrm, CapBnd, NoNewPrivs, Seccomp
	}{
		{"root", func(c *Container) {}, "00000000a80425fb 00000000a80425fb 0 2"},
		{"user", func(c *Container) { c.User = "ann" }, "0000000000000000 00000000a80425fb 0 2"},
		{"no-new-privileges", func(c *Container) { c.Spec.Process.NoNewPrivileges = true }, "00000000a80425fb 00000000a80425fb 1 2"},
		{"dropped", func(c *Container) { c.Spec.Process.Capabilities = nil }, "0000000000000000 0000000000000000 0 2"},
		{"unconfined", func(c *Container) { c.Spec.Linux.Seccomp = nil }, "00000000a80425fb 00000000a80425fb 0 0"},
		{"admin", func(c *Container) {
			caps := []string{"CAP_SYS_ADMIN"}
			c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
		}, "0000000000200000 0000000000200000 0 2"},
		{"init", func(c *Container) { c.Init = true }, "00000000a80425fb 00000000a80425fb 0 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := w.container(tc.name, "sleep", "1000")
			tc.change(&c)
			w.run(c)
			for _, pid := range []string{"1", "self"} {
				script := `for f in CapPrm CapBnd NoNewPrivs Seccomp; do grep "^$f:" /proc/` + pid + `/status; done`
				out, _ := w.sh(tc.name, ExecConfig{}, script)
				var got []string
				for line := range strings.Lines(out) {
					got = append(got, strings.Fields(line)[1])
				}
				if s := strings.Join(got, " "); s != tc.want {
					t.Errorf("process %s: %s", pid, s)
				}
			}
			if out, _ := w.sh(tc.name, ExecConfig{}, "ls /proc/self/fd"); out != "0\n1\n2\n3\n" { // 3 is the directory
				t.Errorf("open files: %q", out)
			}
		})
	}
	out, _ := w.sh("root", ExecConfig{Privileged: true}, "grep -E '^(Seccomp|CapEff):' /proc/self/status")
	if !strings.Contains(out, "Seccomp:\t2") || strings.Contains(out, "00000000a80425fb") {
		t.Errorf("privileged exec: %q", out)
	}
}

func TestInit(t *testing.T) {
	w := newWorld(t)
	c := w.container("init", "sh", "-c", "trap 'exit 7' TERM; (sleep 0.01 &); echo up; while :; do sleep 0.01; done")
	c.Init = true
	w.run(c)
	w.sh("init", ExecConfig{}, "(sleep 0.01 &) ; (sleep 0.01 &); sleep 0.1")
	if out, _ := w.sh("init", ExecConfig{}, "ps -o pid,stat,args"); strings.Contains(out, "Z") || !strings.Contains(out, "/sbin/init") {
		t.Errorf("processes:\n%s", out)
	}
	must(t, w.Signal(context.Background(), "init", syscall.SIGTERM, false))
	if exit := w.awaitExit("init"); exit.Code != 7 {
		t.Errorf("exit: %+v", exit)
	}
	c = w.container("killed", "sh", "-c", "kill -KILL $$")
	c.Init = true
	w.run(c)
	if exit := w.awaitExit("killed"); exit.Code != 137 {
		t.Errorf("exit of a killed child: %+v", exit)
	}
}

func TestOutOfMemory(t *testing.T) {
	w := newWorld(t)
	limit := int64(8 << 20)
	c := w.container("oom", "sh", "-c", "x=0123456789; while :; do x=$x$x; done")
	c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	w.run(c)
	if exit := w.awaitExit("oom"); !exit.OOMKilled || exit.Signal != 9 {
		t.Errorf("exit: %+v", exit)
	}
	w.await("the event", func(e Event) bool { return e.Kind == OOM && e.ID == "oom" })
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.run(w.container("limits", "sleep", "1000"))
	limit, pids := int64(64<<20), int64(50)
	must(t, w.Update(ctx, "limits", &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &limit}, Pids: &specs.LinuxPids{Limit: &pids},
	}))
	s, err := w.Stats(ctx, "limits")
	must(t, err)
	if s.Cgroup.MemoryStats.Usage.Limit != uint64(limit) || s.Cgroup.PidsStats.Limit != uint64(pids) || s.Cgroup.PidsStats.Current != 1 {
		t.Errorf("stats: %+v %+v", s.Cgroup.MemoryStats.Usage, s.Cgroup.PidsStats)
	}
	got, err := w.Pids(ctx, "limits")
	must(t, err)
	if len(got) != 1 || got[0] != w.state("limits").Pid {
		t.Errorf("pids: %v", got)
	}
	if out, _ := w.sh("limits", ExecConfig{}, "echo after"); out != "after\n" {
		t.Errorf("exec after an update: %q", out)
	}
}

func TestSharedPids(t *testing.T) {
	w := newWorld(t)
	c := w.container("shared", "sh", "-c", "sleep 1000 & (sleep 0.05 &) ; exit 0")
	c.Spec.Linux.Namespaces = c.Spec.Linux.Namespaces[1:] // the host's process numbers
	w.run(c)
	w.awaitExit("shared")
	must(t, w.Delete(context.Background(), "shared"))
}

func TestRun(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var out, errs bytes.Buffer
	exit, err := w.Run(ctx, w.container("step", "sh", "-c", "cat; echo bad >&2; exit 3"),
		Streams{Stdin: strings.NewReader("text"), Stdout: &out, Stderr: &errs})
	must(t, err)
	if exit.Code != 3 || out.String() != "text" || errs.String() != "bad\n" {
		t.Errorf("got %+v, %q, %q", exit, out.String(), errs.String())
	}
	_, err = w.Run(ctx, w.container("step", "nothere"), Streams{})
	var failed *StartError
	if !errors.As(err, &failed) || failed.Code != 127 {
		t.Errorf("missing command: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	_, err = w.Run(cancelled, w.container("step", "sh", "-c", "echo up; sleep 1000"), Streams{Stdout: writerFunc(cancel)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if states, _ := w.List(ctx); len(states) > 0 || len(w.events) > 0 {
		t.Errorf("traces: %+v, %+v", states, w.events)
	}
}

// TestRunEndsWithEngine has the engine go away under a running step.
func TestRunEndsWithEngine(t *testing.T) {
	w := newWorld(t)
	up := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.Run(context.Background(), w.container("step", "sh", "-c", "echo up; sleep 1000"), Streams{Stdout: writerFunc(func() { close(up) })})
	}()
	<-up
	shims := w.shims()
	must(t, w.Close())
	for _, pid := range shims {
		awaitGone(t, pid) // which it does when it has no container
	}
	<-done
	w.open()
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

func itoa(n int) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)).String()[len("0.0.0.0:"):]
}
