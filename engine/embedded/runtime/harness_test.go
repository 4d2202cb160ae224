package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// busybox makes a root file system with nothing but busybox.
func busybox(tb testing.TB) string {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("needs root")
	}
	root := tb.TempDir()
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "tmp", "root"} {
		must(tb, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	content, err := os.ReadFile("/bin/busybox")
	if err != nil {
		tb.Skip("needs busybox-static")
	}
	must(tb, os.WriteFile(filepath.Join(root, "bin/busybox"), content, 0o755))
	for _, name := range strings.Fields("sh sleep echo cat true false id env kill ls dd seq nslookup head tty stty ps sed grep wc readlink touch") {
		must(tb, os.Symlink("busybox", filepath.Join(root, "bin", name)))
	}
	must(tb, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n"), 0o644))
	must(tb, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nstaff:x:1001:\nwheel:x:10:ann\naudio:x:29:\n"), 0o644))
	return root
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// world is a runtime with everything around it.
type world struct {
	*Runtime
	tb     testing.TB
	dir    string
	lower  string
	opts   Options
	mu     sync.Mutex
	events []Event
	news   chan struct{}
	ready  chan struct{}
}

// attached is a channel that a test closes when it is attached.
func (w *world) attached() chan struct{} { return w.ready }

var defaultCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, lower: busybox(tb), dir: tb.TempDir(), news: make(chan struct{}, 1), ready: make(chan struct{})}
	if _, err := binary.ReadFile("binary/stack-shim"); err != nil {
		tb.Skip("needs the shim: make build")
	}
	run := filepath.Join(w.dir, "run")
	if _, bench := tb.(*testing.B); bench { // a host's /run is in memory
		var err error
		run, err = os.MkdirTemp("/dev/shm", "stack")
		must(tb, err)
		tb.Cleanup(func() { os.RemoveAll(run) })
	}
	w.opts = Options{RunDir: run, StateDir: filepath.Join(w.dir, "state"), OnEvent: w.event}
	w.open()
	tb.Cleanup(w.end)
	return w
}

func (w *world) open() {
	w.tb.Helper()
	r, err := Open(context.Background(), w.opts)
	must(w.tb, err)
	w.Runtime = r
}

func (w *world) event(e Event) {
	w.mu.Lock()
	w.events = append(w.events, e)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// end deletes everything and checks that nothing is left.
func (w *world) end() {
	states, err := w.List(context.Background())
	must(w.tb, err)
	for _, s := range states {
		_ = w.Signal(context.Background(), s.ID, 9, false)
		if s.Status != Stopped {
			w.awaitStopped(s.ID)
		}
		if err := w.Delete(context.Background(), s.ID); err != nil {
			w.tb.Errorf("cannot delete %s: %v", s.ID, err)
		}
	}
	shims := w.shims()
	must(w.tb, w.Close())
	for _, pid := range shims {
		awaitGone(w.tb, pid)
	}
	if w.tb.Failed() {
		log, _ := os.ReadFile(filepath.Join(w.opts.RunDir, "shim.log"))
		w.tb.Logf("shim.log:\n%s", log)
	}
	left, _ := filepath.Glob(filepath.Join(w.opts.RunDir, "shim", "*"))
	if len(left) > 0 {
		w.tb.Errorf("left behind: %v", left)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), w.dir) {
		w.tb.Errorf("a mount is left behind")
	}
	for _, dir := range cgroupDirs("/stacktest-" + filepath.Base(w.dir)) {
		w.tb.Errorf("cgroup left behind: %s", dir)
	}
}

func cgroupDirs(name string) (out []string) {
	entries, _ := filepath.Glob("/sys/fs/cgroup/*" + name + "*")
	more, _ := filepath.Glob("/sys/fs/cgroup/*/*/*" + name + "*")
	return append(entries, more...)
}

func awaitGone(tb testing.TB, pid int) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tb.Errorf("process %d is left behind", pid)
}

// shims lists the pids of the shims.
func (w *world) shims() (pids []int) {
	files, _ := filepath.Glob(filepath.Join(w.opts.RunDir, "shim", "*", "pid"))
	for _, f := range files {
		var pid int
		b, _ := os.ReadFile(f)
		if n, _ := fmt.Sscan(string(b), &pid); n == 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// container describes one that runs the arguments.
func (w *world) container(id string, args ...string) Container {
	upper, work := filepath.Join(w.dir, id, "upper"), filepath.Join(w.dir, id, "work")
	must(w.tb, os.MkdirAll(upper, 0o755))
	must(w.tb, os.MkdirAll(work, 0o755))
	return Container{
		ID: id, Group: "test", Spec: w.spec(id, args...),
		Rootfs: Rootfs{Lower: []string{w.lower}, Upper: upper, Work: work},
		Log:    &LogConfig{Path: filepath.Join(w.dir, id, "log")},
	}
}

var profile = sync.OnceValues(func() (*specs.LinuxSeccomp, error) {
	return seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: defaultCaps},
	}})
})

func (w *world) spec(id string, args ...string) *specs.Spec {
	filter, err := profile()
	must(w.tb, err)
	return &specs.Spec{
		Version: specs.Version, Hostname: id, Root: &specs.Root{},
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/bin", "HOSTNAME=" + id},
			Capabilities: &specs.LinuxCapabilities{Bounding: defaultCaps, Effective: defaultCaps, Permitted: defaultCaps},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 524288}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: "/stacktest-" + filepath.Base(filepath.Dir(w.dir)) + filepath.Base(w.dir) + "-" + id,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Seccomp:       filter,
		},
	}
}

// run creates and starts.
func (w *world) run(c Container) {
	w.tb.Helper()
	_, err := w.Create(context.Background(), c)
	must(w.tb, err)
	must(w.tb, w.Start(context.Background(), c.ID))
}

// await waits for an event.
func (w *world) await(what string, match func(Event) bool) Event {
	w.tb.Helper()
	timeout := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		for _, e := range w.events {
			if match(e) {
				w.mu.Unlock()
				return e
			}
		}
		w.mu.Unlock()
		select {
		case <-w.news:
		case <-timeout:
			w.tb.Fatalf("%s did not happen", what)
		}
	}
}

func (w *world) awaitExit(id string) ExitStatus {
	w.tb.Helper()
	return w.await("exit of "+id, func(e Event) bool { return e.Kind == Exited && e.ID == id }).Status
}

func (w *world) awaitStopped(id string) {
	c, err := w.Runtime.container(id)
	if err != nil {
		return
	}
	select {
	case <-c.exited:
	case <-time.After(20 * time.Second):
		w.tb.Errorf("container %s does not stop", id)
	}
}

func (w *world) state(id string) State {
	w.tb.Helper()
	states, err := w.List(context.Background())
	must(w.tb, err)
	for _, s := range states {
		if s.ID == id {
			return s
		}
	}
	w.tb.Fatalf("container %s is not in the list", id)
	return State{}
}

// log returns what a container wrote to a stream.
func (w *world) log(id, stream string) string {
	w.tb.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, id, "log"))
	must(w.tb, err)
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		var e struct{ Log, Stream string }
		must(w.tb, json.Unmarshal([]byte(line), &e))
		if e.Stream == stream {
			out.WriteString(e.Log)
		}
	}
	return out.String()
}

// sh runs a shell command in a running container.
func (w *world) sh(id string, cfg ExecConfig, command string) (string, ExitStatus) {
	w.tb.Helper()
	var out bytes.Buffer
	cfg.Args = []string{"sh", "-c", command}
	if cfg.ExecID == "" {
		cfg.ExecID = fmt.Sprint("e", time.Now().UnixNano())
	}
	exit, err := w.Exec(context.Background(), id, cfg, Streams{Stdout: &out, Stderr: &out}, nil)
	must(w.tb, err)
	return out.String(), exit
}
