// Package dockerd starts a real Docker daemon for a test and leaves nothing of it behind.
//
// The daemon, its containerd and all its containers live in a PID, mount and network namespace of their own: bridges,
// firewall rules and mounts never appear on the host, and the kernel ends every process when the namespace's first one
// ends. What namespaces do not hide, the cgroups, has a parent of its own that is removed.
package dockerd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startTimeout is for a machine that is busy with other tests; the daemon needs about one second.
const startTimeout = 60 * time.Second

// script prepares the namespaces and waits for the daemon, reaping what containerd's shims leave to the first process.
const script = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
ip address add ` + resolver + `/32 dev lo
"$@" &
daemon=$!
trap 'kill -TERM $daemon' TERM
while kill -0 $daemon 2>/dev/null; do wait $daemon || true; done
`

// Daemon is a running dockerd.
type Daemon struct {
	Host string // its address: unix:///…

	dir     string
	cgroups string // name of its cgroup in every hierarchy
	first   *exec.Cmd
	exited  chan struct{}
	netns   *os.File
	names   net.PacketConn
}

// Start starts a daemon that ends with the test. Where there is no dockerd or no root, the test is skipped.
func Start(t testing.TB) *Daemon {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	path, err := exec.LookPath("dockerd")
	if err != nil {
		t.Skip("needs dockerd (Debian's package docker.io)")
	}
	dir, err := os.MkdirTemp("", "dockerd-")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{
		Host:    "unix://" + filepath.Join(dir, "docker.sock"),
		dir:     dir,
		cgroups: filepath.Base(dir),
		exited:  make(chan struct{}),
	}
	t.Cleanup(func() { d.stop(t) })
	if err := d.start(path); err != nil {
		t.Fatalf("cannot start dockerd: %v\n%s", err, d.output())
	}
	return d
}

func (d *Daemon) start(path string) error {
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.file("notify"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer ready.Close()
	log, err := os.Create(d.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	if err := os.WriteFile(d.file("config.json"), []byte("{}"), 0o600); err != nil {
		return err
	}

	d.first = exec.Command("/bin/sh", "-c", script, "sh", path,
		"--host", d.Host, "--config-file", d.file("config.json"), "--pidfile", d.file("pid"), "--log-level", "warn",
		"--data-root", d.file("data"), "--exec-root", d.file("exec"),
		"--dns", resolver,
		"--cgroup-parent", "/"+d.cgroups, "--exec-opt", "native.cgroupdriver=cgroupfs")
	d.first.Env = append(os.Environ(), "NOTIFY_SOCKET="+d.file("notify"))
	d.first.Stdout, d.first.Stderr = log, log
	d.first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := d.run(); err != nil {
		return err
	}
	d.netns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", d.first.Process.Pid))
	if err != nil {
		return err
	}
	if err := d.awaitReady(ready); err != nil {
		return err
	}
	return d.serveNames()
}

// run starts the first process from a thread that lives as long as the process does: the signal that ends it with us is
// sent when that thread ends.
func (d *Daemon) run() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.first.Start()
		started <- err
		if err == nil {
			_ = d.first.Wait()
		}
		close(d.exited)
	}()
	return <-started
}

// awaitReady waits for the message that services send to systemd.
func (d *Daemon) awaitReady(ready *net.UnixConn) error {
	if err := ready.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		return err
	}
	go func() {
		<-d.exited
		ready.Close()
	}()
	buf := make([]byte, 4096)
	for {
		n, err := ready.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return errors.New("it exited")
		}
		if err != nil {
			return err
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return nil
		}
	}
}

// Root is where the files of a process of a container are seen from here. Its number is the daemon's, as inspect tells it.
func (d *Daemon) Root(pid int) string {
	return fmt.Sprintf("/proc/%d/root/proc/%d/root", d.first.Process.Pid, pid)
}

func (d *Daemon) stop(t testing.TB) {
	if d.first != nil && d.first.Process != nil {
		d.end()
	}
	if d.names != nil {
		d.names.Close()
	}
	if d.netns != nil {
		d.netns.Close()
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("dockerd said:\n%s", d.output())
	}
	if err := d.removeCgroups(); err != nil {
		t.Errorf("cannot remove dockerd's cgroups: %v", err)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		t.Errorf("cannot remove dockerd's files: %v", err)
	}
}

// end gives the daemon time to stop its containers and then ends the namespace with everything in it.
func (d *Daemon) end() {
	_ = d.first.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(30 * time.Second):
		_ = d.first.Process.Kill()
		<-d.exited
	}
}

// removeCgroups removes the daemon's cgroup in every hierarchy, the innermost first.
func (d *Daemon) removeCgroups() error {
	var errs []error
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + d.cgroups)
	for _, top := range append(tops, "/sys/fs/cgroup/"+d.cgroups) {
		errs = append(errs, removeTree(top))
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		if entry.IsDir() {
			errs = append(errs, removeTree(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(append(errs, unix.Rmdir(dir))...)
}

func (d *Daemon) file(name string) string { return filepath.Join(d.dir, name) }

// output is the end of what the daemon logged.
func (d *Daemon) output() string {
	const most = 8 << 10
	log, err := os.ReadFile(d.file("log"))
	if err != nil {
		return ""
	}
	return string(log[max(0, len(log)-most):])
}
