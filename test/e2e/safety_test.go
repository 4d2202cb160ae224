package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dockerCapabilities is the set of a container of Docker's.
const dockerCapabilities = "00000000a80425fb"

// newFortress is a victim whose image e2e/tools:1 has all of busybox's programs.
func newFortress(t *testing.T) (*host, *remains) {
	t.Helper()
	h, left := newVictim(t)
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var links []entry
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" && applet != "sh" {
			links = append(links, link("bin/"+applet, "busybox"))
		}
	}
	if err := h.image("e2e/tools:1", append(links, folder("tmp/"))...); err != nil {
		t.Fatal(err)
	}
	return h, left
}

// probes are scripts with what they have to print, or, if that is "fails", not to succeed.
var probes = []struct{ name, script, want string }{
	{"effective capabilities", `sed -n 's/^CapEff:\t//p' /proc/self/status`, dockerCapabilities},
	{"permitted capabilities", `sed -n 's/^CapPrm:\t//p' /proc/self/status`, dockerCapabilities},
	{"bounding capabilities", `sed -n 's/^CapBnd:\t//p' /proc/self/status`, dockerCapabilities},
	{"inheritable capabilities", `sed -n 's/^CapInh:\t//p' /proc/self/status`, "0000000000000000"},
	{"ambient capabilities", `sed -n 's/^CapAmb:\t//p' /proc/self/status`, "0000000000000000"},
	{"seccomp filters", `sed -n 's/^Seccomp:\t//p' /proc/self/status`, "2"},
	{"ignored signals", `sed -n 's/^SigIgn:\t//p' /proc/self/status; true`, "0000000000000000"},
	{"blocked signals", `sed -n 's/^SigBlk:\t//p' /proc/self/status`, "0000000000000000"},
	{"umask", `umask`, "0022"},
	{"niceness", `cut -d' ' -f19 /proc/self/stat`, "0"},
	{"oom score", `cat /proc/self/oom_score_adj`, "0"},
	{"open files", `ls -C -w 99 /proc/$$/fd; true`, "0  1  2"},
	{"files of pid 1", `ls /proc/1/fd`, ""},
	{"soft limit of files", `ulimit -Sn`, "1024"},
	{"size of files", `ulimit -Sf`, "unlimited"},
	{"environment", `env | cut -d= -f1 | sort | xargs`, "HOME HOSTNAME PATH PWD SHLVL"},
	{"environment of pid 1", `tr '\0' '\n' </proc/1/environ | cut -d= -f1 | sort | xargs`, "HOME HOSTNAME PATH"},

	{"new user namespace", `unshare -U true 2>&1`, "fails"},
	{"new mount namespace", `unshare -m true 2>&1`, "fails"},
	{"mount", `mount -t tmpfs x /tmp 2>&1`, "fails"},
	{"remount", `mount -o remount,rw /proc/sys 2>&1`, "fails"},
	{"unmount", `umount /proc/sys 2>&1`, "fails"},
	{"pivot_root", `pivot_root / /tmp 2>&1`, "fails"},
	{"set the clock", `date -s 2030-01-01 2>&1 | grep -v permitted | grep date`, "fails"},
	{"set the host's name", `hostname mine 2>&1`, "fails"},
	{"reboot", `reboot -f 2>&1`, "fails"},
	{"kernel log", `dmesg 2>&1`, "fails"},
	{"swap", `swapoff -a && swapon /tmp 2>&1`, "fails"},
	{"routes", `ip route add 10.99.0.0/16 via 127.0.0.1 2>&1`, "fails"},
	{"sysctl", `echo 1 2>/dev/null >/proc/sys/kernel/panic`, "fails"},
	{"core_pattern", `echo '|/x' 2>/dev/null >/proc/sys/kernel/core_pattern`, "fails"},
	{"sysrq", `test -e /proc/sysrq-trigger || exit 1; echo h 2>/dev/null >/proc/sysrq-trigger`, "fails"},
	{"sysfs", `mkdir /sys/kernel/x 2>/dev/null || echo 1 2>/dev/null >/sys/kernel/mm/ksm/run`, "fails"},
	{"control groups", `mkdir /sys/fs/cgroup/*/x 2>/dev/null`, "fails"},
	{"devices of the group", `echo a 2>/dev/null >/sys/fs/cgroup/devices/devices.allow`, "fails"},
	{"masked files", `cat /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/sched_debug /proc/interrupts 2>/dev/null | head -c 9`, ""},
	{"masked folders", `ls -A /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap 2>/dev/null | grep -v : | xargs`, ""},
	{"devices", `ls /dev | xargs`, "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"},
	{"pid 1 is another's program", `cp /bin/true /proc/1/exe 2>/dev/null || echo >>/proc/1/exe 2>/dev/null`, "fails"},
	{"processes of others", `ls -d /proc/[0-9]* | wc -l | awk '{print ($1 < 12)}'`, "1"},
	{"device of a disk", `mknod /tmp/disk b DISK && dd if=/tmp/disk of=/dev/null bs=1 count=1 2>/dev/null`, "fails"},
	{"device that everybody may have", `mknod /tmp/null c 1 3 && echo x >/tmp/null && echo works; rm /tmp/null`, "works"},
	{"memory of the kernel", `mknod /tmp/mem c 1 1 && dd if=/tmp/mem of=/dev/null bs=1 count=1 2>/dev/null`, "fails"},
}

// TestConfinement: what a container may do is what it may do under Docker, for its first process and for those of exec.
func TestConfinement(t *testing.T) {
	t.Setenv("E2E_SECRET", "of the one who started the engine")
	h, left := newFortress(t)
	dir := h.write("probe", map[string]string{"compose.yaml": `services:
  probe: {image: e2e/tools:1, command: sleep 3600, init: true}
  strict: {image: e2e/tools:1, command: sleep 3600, security_opt: ["no-new-privileges:true"], cap_drop: [ALL], read_only: true, user: "1000:1000"}
`})
	h.stack(dir, "engine", "stop")
	// What the first command's shell does to itself is no business of the containers.
	cmd := h.command(dir)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "umask 077; ulimit -Sf 4096; exec nohup nice -n 7 " + h.binary + " up -d"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	left.note()
	disk := fmt.Sprintf("%d %d", unix.Major(rootDevice(t)), unix.Minor(rootDevice(t)))
	for way, args := range map[string][]string{"run": {"run", "--rm", "-T"}, "exec": {"exec", "-T"}} {
		for _, p := range probes {
			script := strings.ReplaceAll(p.script, "DISK", disk)
			out, err := h.try(dir, append(args, "probe", "sh", "-c", script)...)
			out = strings.TrimSpace(out)
			if p.want == "fails" {
				if err == nil {
					t.Errorf("%s: %s succeeds: %q", way, p.name, out)
				}
			} else if out != p.want {
				t.Errorf("%s: %s is %q, want %q (%v)", way, p.name, out, p.want, err)
			}
		}
	}
	for script, want := range map[string]string{
		`sed -n 's/^NoNewPrivs:\t//p' /proc/self/status`: "1\n",
		`sed -n 's/^CapBnd:\t//p' /proc/self/status`:     "0000000000000000\n",
		`touch /x 2>/dev/null || echo read-only`:         "read-only\n",
		`id -u; id -g; id -G`:                            "1000\n1000\n1000\n",
	} {
		if out, err := h.try(dir, "exec", "-T", "strict", "sh", "-c", script); out != want {
			t.Errorf("strict: %s prints %q, want %q (%v)", script, out, want, err)
		}
	}
	h.stack(dir, "down", "-t", "0")
}

func rootDevice(t *testing.T) uint64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat("/", &s); err != nil {
		t.Fatal(err)
	}
	return s.Dev
}

// TestOwnFilesAreTheOwners: nobody but the owner looks into the engine's folders.
func TestOwnFilesAreTheOwners(t *testing.T) {
	h, left := newFortress(t)
	dir := h.write("web", map[string]string{"compose.yaml": strings.ReplaceAll(runs, busybox, "e2e/tools:1")})
	h.stack(dir, "up", "-d")
	left.note()
	for path, most := range map[string]os.FileMode{
		"root": 0o700, "run": 0o755, "run/engine.sock": 0o660, "run/shims": 0o700, "run/shims/*/*": 0o700, "root/engine.log": 0o640,
	} {
		found, _ := filepath.Glob(filepath.Join(h.dir, path))
		if len(found) == 0 {
			t.Errorf("there is no %s", path)
		}
		for _, f := range found {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm()&^most != 0 {
				t.Errorf("%s has the mode %v, want at most %v (%v)", f, info.Mode(), most, err)
			}
		}
	}
	h.stack(dir, "down", "-t", "0")
}

// TestLimits: memory and processes end where the limit is, and the end says why.
func TestLimits(t *testing.T) {
	h, left := newFortress(t)
	dir := h.write("limits", map[string]string{"compose.yaml": `services:
  memory: {image: e2e/tools:1, command: [tail, /dev/zero], mem_limit: 24m}
  processes: {image: e2e/tools:1, pids_limit: 12, command: ["sh", "-c", "for i in $$(seq 30); do sleep 60 & done"], }
`})
	h.stack(dir, "up", "-d")
	left.note()
	h.settled(dir, map[string]string{"memory": "exited 137"})
	if c := h.container(dir, "memory"); !c.State.OOMKilled {
		t.Errorf("the container that wanted too much memory ended so: %+v", c.State)
	}
	until(t, "a fork fails", func() bool { return strings.Contains(h.stack(dir, "logs", "processes"), "can't fork") })
	h.stack(dir, "down", "-t", "0")
}

// TestNetworksAreClosed: what is bound to the host's loopback is for the host, and networks do not see each other.
func TestNetworksAreClosed(t *testing.T) {
	h, left := newFortress(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.0 200 OK\r\n\r\nthe host's\n"))
			_ = c.Close()
		}
	}()
	_, mine, _ := net.SplitHostPort(l.Addr().String())
	port := freePort(t)
	if res, err := http.Get("http://127.0.0.1:" + mine); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	dir := h.write("nets", map[string]string{"compose.yaml": `services:
  web:
    image: e2e/tools:1
    command: ["sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    init: true
    networks: [front]
    ports: ["127.0.0.1:` + port + `:80"]
  friend: {image: e2e/tools:1, command: sleep 3600, init: true, networks: [front]}
  stranger: {image: e2e/tools:1, command: sleep 3600, init: true, networks: [back]}
  locked: {image: e2e/tools:1, command: sleep 3600, init: true, networks: [vault]}
networks: {front: {}, back: {}, vault: {internal: true}}
`})
	h.stack(dir, "up", "-d")
	left.note()
	fetch(t, port)
	address := strings.TrimSpace(h.stack(dir, "exec", "-T", "web", "hostname", "-i"))
	out := h.stack(dir, "exec", "-T", "friend", "wget", "-q", "-O", "-", "http://"+address+"/")
	if out != "hello\n" {
		t.Errorf("on one network: %q", out)
	}
	hostAddress := outward(t)
	const gateway = `$(ip route | sed -n 's/default via \([0-9.]*\).*/\1/p')`
	const bridge = `$(ip -4 route | sed -n 's/^\([0-9.]*\)\.0\/.*/\1.1/p')`
	for _, c := range []struct{ from, to string }{
		{"stranger", address + ":80"}, {"stranger", "web:80"}, {"stranger", gateway + ":" + port}, {"stranger", hostAddress + ":" + port}, {"stranger", "127.0.0.1:" + port},
		{"friend", gateway + ":" + port}, {"friend", gateway + ":" + mine}, {"friend", "127.0.0.1:" + mine}, {"friend", hostAddress + ":" + mine},
		{"locked", address + ":80"}, {"locked", hostAddress + ":" + port}, {"locked", bridge + ":" + mine},
	} {
		printed, err := h.try(dir, "exec", "-T", c.from, "sh", "-c", "timeout 2 wget -q -O - http://"+c.to+"/")
		if err == nil {
			t.Errorf("%s reaches %s: %q", c.from, c.to, printed)
		}
	}
	h.stack(dir, "down", "-t", "0")
}

// outward is the address of the host by which it reaches others.
func outward(t *testing.T) string {
	t.Helper()
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		t.Skip(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String()
}

// TestLabelsOfImages: an image cannot pass for a part of another project.
func TestLabelsOfImages(t *testing.T) {
	h, left := newFortress(t)
	dir := h.write("honest", map[string]string{
		"compose.yaml": "services: {web: {build: ., command: sleep 3600, init: true}}\n",
		"Dockerfile": "FROM e2e/tools:1\nLABEL com.docker.compose.project=other com.docker.compose.service=db com.docker.compose.oneoff=True com.docker.compose.container-number=7 " +
			"dev.stack.hash=x containerd.io/gc.root=x containerd.io/gc.ref.content.0=x\n",
	})
	h.stack(dir, "up", "-d")
	left.note()
	if id := h.stack(dir, "ps", "-q", "web"); id == "" {
		t.Error("the project does not see its own container")
	}
	h.stack(dir, "up", "-d")
	if id := h.stack(dir, "ps", "-q", "web"); len(strings.Fields(id)) != 1 {
		t.Errorf("up again leads to %q", id)
	}
	if id := h.stack(dir, "-p", "other", "ps", "-a", "-q"); id != "" {
		t.Errorf("another project has the container %s", id)
	}
	h.stack(dir, "down", "--rmi", "all", "-t", "0")
}
