package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settle is how long the kernel may take to let go of what was given back.
const settle = 5 * time.Second

// remains is what an engine and its containers have on the machine, told apart from everybody else's.
type remains struct {
	h    *host
	seen map[string]bool // the IDs of containers, for their control groups
}

// newVictim is a host that has to be clean when the test has ended, whatever was killed in between.
func newVictim(t testing.TB) (*host, *remains) {
	t.Helper()
	var r *remains
	if os.Getuid() == 0 {
		t.Cleanup(func() { r.check(t) }) // after the host's own
	}
	h := newHost(t)
	r = &remains{h: h, seen: map[string]bool{}}
	h.busybox()
	return h, r
}

// note remembers the containers that there are.
func (r *remains) note() {
	entries, _ := os.ReadDir(filepath.Join(r.h.dir, "root", "containers"))
	for _, e := range entries {
		r.seen[e.Name()] = true
	}
}

// check fails the test if something is left and the kernel does not let go of it soon, and takes it away.
func (r *remains) check(t testing.TB) {
	t.Helper()
	if r == nil {
		return
	}
	left := r.list(t)
	for deadline := time.Now().Add(settle); len(left) > 0 && time.Now().Before(deadline); left = r.list(t) {
		time.Sleep(50 * time.Millisecond) // nothing tells when the kernel has dismantled a namespace
	}
	if len(left) == 0 {
		return
	}
	t.Errorf("%d things are left behind, such as\n%s", len(left), strings.Join(left[:min(len(left), 8)], "\n"))
	for _, l := range left {
		what, name, _ := strings.Cut(l, " ")
		switch what {
		case "process":
			pid, _ := strconv.Atoi(strings.Fields(name)[0])
			end(t, pid, unix.SIGKILL)
		case "cgroup":
			_ = os.Remove(name)
		case "link":
			if link, err := netlink.LinkByName(name); err == nil {
				_ = netlink.LinkDel(link)
			}
		case "table":
			if conn, err := nftables.New(); err == nil {
				conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyIPv4})
				_ = conn.Flush()
			}
		}
	}
}

func (r *remains) list(t testing.TB) []string {
	out := r.processes()
	for id := range r.seen {
		for _, pattern := range []string{"/sys/fs/cgroup/*/stack/" + id, "/sys/fs/cgroup/stack/" + id} {
			found, _ := filepath.Glob(pattern)
			for _, f := range found {
				out = append(out, "cgroup "+f)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, r.h.dir) {
			out = append(out, "mount "+line)
		}
	}
	return append(out, r.network(t)...)
}

// processes have our folder in their arguments or their environment, or are in a control group of ours.
func (r *remains) processes() []string {
	var out []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		args, _ := os.ReadFile(dir + "/cmdline")
		if len(args) == 0 {
			continue // it has ended, and waits for the host's init to notice
		}
		env, _ := os.ReadFile(dir + "/environ")
		cgroup, _ := os.ReadFile(dir + "/cgroup")
		ours := bytes.Contains(append(args, env...), []byte(r.h.dir))
		for id := range r.seen {
			ours = ours || bytes.Contains(cgroup, []byte(id))
		}
		if ours {
			out = append(out, fmt.Sprintf("process %s %s", filepath.Base(dir), bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
		}
	}
	return out
}

// network lists the links and the table that carry the number of the engine, which is made of the path of its root.
func (r *remains) network(t testing.TB) []string {
	sum := sha256.Sum256([]byte(filepath.Join(r.h.dir, "root")))
	instance := hex.EncodeToString(sum[:4])
	group, err := strconv.ParseUint(instance, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // somebody else is making links
		links, err = netlink.LinkList()
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		if l.Attrs().Group == uint32(group) {
			out = append(out, "link "+l.Attrs().Name)
		}
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if table.Name == "stack_"+instance {
			out = append(out, "table "+table.Name)
		}
	}
	return out
}

// get asks the engine's socket, without starting an engine.
func (h *host) get(path string, into any) error { return h.ask(http.MethodGet, path, into) }

func (h *host) ask(method, path string, into any) error {
	socket := filepath.Join(h.dir, "run", "engine.sock")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequest(method, "http://engine"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// details are what the tests look at in a container.
type details struct {
	ID           string `json:"Id"`
	Name         string
	LogPath      string
	RestartCount int
	State        struct {
		Status    string
		Pid       int
		ExitCode  int
		OOMKilled bool
	}
}

// container is the only container of a service.
func (h *host) container(dir, service string) details {
	h.t.Helper()
	id := strings.Fields(h.stack(dir, "ps", "-a", "-q", "--no-trunc", service))
	if len(id) != 1 {
		h.t.Fatalf("service %s has the containers %v", service, id)
	}
	var c details
	if err := h.get("/containers/"+id[0]+"/json", &c); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// end kills a process that is not a child and returns when it is gone.
func end(t testing.TB, pid int, sig unix.Signal) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("process %d is not ours", pid)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("process %d does not end: %v", pid, err)
		}
		return
	}
}

// enginePid is the process that holds the socket, or 0. It does not start one.
func (h *host) enginePid() int {
	data, err := os.ReadFile(filepath.Join(h.dir, "run", "engine.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(args, []byte("engine\x00run")) {
		return 0
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if !bytes.Contains(env, []byte(h.dir)) {
		return 0
	}
	return pid
}

func (h *host) killEngine() {
	h.t.Helper()
	pid := h.enginePid()
	if pid == 0 {
		h.t.Fatal("no engine runs")
	}
	end(h.t, pid, unix.SIGKILL)
}

// shims are the processes that hold this host's containers.
func (h *host) shims() []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		args, _ := os.ReadFile(dir + "/cmdline")
		if bytes.HasPrefix(args, []byte("stack-shim\x00"+h.dir)) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			out = append(out, pid)
		}
	}
	return out
}

func (h *host) killShims() {
	h.t.Helper()
	pids := h.shims()
	if len(pids) == 0 {
		h.t.Fatal("no shim runs")
	}
	for _, pid := range pids {
		end(h.t, pid, unix.SIGKILL)
	}
}
