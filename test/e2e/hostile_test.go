package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outside is a folder of the host with a secret in it, which no container and no archive is to reach.
func (h *host) outside() string {
	h.t.Helper()
	dir := h.write("outside", map[string]string{"secret": "the host's\n", "hosts": "the host's\n"})
	if err := os.Chmod(dir, 0o777); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(h.dir, 0o755); err != nil { // so that modes are not what protects it
		h.t.Fatal(err)
	}
	return dir
}

// untouched fails the test if the folder is not what outside made.
func untouched(t *testing.T, dir, after string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if body, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(body) != "the host's\n" {
			t.Errorf("%s: %s on the host holds %q, %v", after, e.Name(), body, err)
		}
	}
	if got := strings.Join(names, " "); got != "hosts secret" {
		t.Errorf("%s: the folder on the host has %s", after, got)
	}
}

// TestHostileRoots starts containers whose root file systems have links to the host where something is mounted, written or read.
func TestHostileRoots(t *testing.T) {
	h, left := newFortress(t)
	out := h.outside()
	up := "../../../../../../../../../../.." + out
	const script = `cat /secret /data/secret /link/secret /etc/hosts /etc/resolv.conf /etc/hostname /proc/self/root/secret 2>/dev/null; for d in /data /link /link/x; do echo x 2>/dev/null >$$d/new; done; echo x 2>/dev/null >>/etc/hosts; true`
	for i, c := range []struct {
		name    string
		entries []entry
		service string // besides image and command
	}{
		{"volume below an absolute link", []entry{link("link", out)}, "volumes: [\"vol:/link/x\"]"},
		{"volume below a relative link", []entry{link("link", up)}, "volumes: [\"vol:/link/x\"]"},
		{"volume on a link", []entry{link("link", out)}, "volumes: [\"vol:/link\"]"},
		{"volume on a link that is copied up", []entry{link("data", up)}, "volumes: [\"vol:/data\"]"},
		{"volume with links that are copied up", []entry{folder("data/"), link("data/secret", out+"/secret"), link("data/d", out)}, "volumes: [\"vol:/data\"]"},
		{"bind below a link", []entry{link("link", up)}, "volumes: [\"./bound:/link/x\"]"},
		{"file bound on a link", []entry{link("link", out+"/hosts")}, "volumes: [\"./word:/link\"]"},
		{"file bound below a link", []entry{link("link", up)}, "volumes: [\"./word:/link/new\"]"},
		{"tmpfs on a link", []entry{link("link", up)}, "tmpfs: [\"/link/x\"]"},
		{"links in a chain", []entry{link("a", "b"), link("b", "link/../link"), link("link", up)}, "volumes: [\"vol:/a/x\"]"},
		{"hosts", []entry{folder("etc/"), link("etc/hosts", out+"/hosts")}, ""},
		{"resolv.conf", []entry{folder("etc/"), link("etc/resolv.conf", up+"/hosts")}, ""},
		{"hostname", []entry{folder("etc/"), link("etc/hostname", out+"/new")}, ""},
		{"etc", []entry{link("etc", out)}, ""},
		{"dev", []entry{link("dev", out)}, ""},
		{"proc", []entry{link("proc", up)}, ""},
		{"sys", []entry{link("sys", up)}, ""},
		{"tmp as working folder", []entry{link("work", up)}, "working_dir: /work/new"},
		{"secret", []entry{folder("run/"), link("run/secrets", out)}, "secrets: [hosts]"},
	} {
		name := fmt.Sprintf("hostile/%d", i)
		if err := h.image(name, c.entries...); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		dir := h.write("hostile", map[string]string{"word": "harmless\n", "compose.yaml": fmt.Sprintf(
			"services:\n  web:\n    image: %s\n    command: [\"sh\", \"-c\", %q]\n    %s\nvolumes: {vol: {}}\nsecrets: {hosts: {file: ./word}}\n", name, script, c.service)})
		if err := os.MkdirAll(filepath.Join(dir, "bound"), 0o755); err != nil {
			t.Fatal(err)
		}
		printed, err := h.try(dir, "run", "--rm", "-T", "web")
		left.note()
		if strings.Contains(printed, "the host's") {
			t.Errorf("%s: the container reads the host's file", c.name)
		}
		if err != nil {
			t.Logf("%s is refused: %s", c.name, strings.ReplaceAll(err.Error(), "\n", " "))
		}
		untouched(t, out, c.name)
		h.stack(dir, "down", "-v", "-t", "0")
	}
}

// TestHostileUsers: an image cannot have a user looked up in the host's file.
func TestHostileUsers(t *testing.T) {
	h, _ := newFortress(t)
	out := h.outside()
	if err := os.WriteFile(filepath.Join(h.dir, "passwd"), []byte("mallory:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{h.dir + "/passwd", "../../../../../.." + h.dir + "/passwd", "/proc/self/environ", "/dev/zero"} {
		name := fmt.Sprintf("hostile/user%d", i)
		if err := h.image(name, folder("etc/"), link("etc/passwd", to), link("etc/group", to)); err != nil {
			t.Fatal(err)
		}
		dir := h.write("user", map[string]string{"compose.yaml": "services: {web: {image: " + name + ", user: mallory, command: \"busybox id\"}}\n"})
		if printed, err := h.try(dir, "run", "--rm", "-T", "web"); err == nil || !strings.Contains(err.Error(), "mallory") {
			t.Errorf("%s: %q, %v", to, printed, err)
		}
		h.stack(dir, "down", "-t", "0")
	}
	untouched(t, out, "users")
}

// TestWorkingFolders: a working folder that names an open file leads nowhere (CVE-2024-21626).
func TestWorkingFolders(t *testing.T) {
	h, left := newFortress(t)
	h.outside()
	dir := h.write("web", map[string]string{"compose.yaml": strings.ReplaceAll(runs, busybox, "e2e/tools:1")})
	h.stack(dir, "up", "-d")
	left.note()
	climb := "for up in . .. ../.. ../../.. ../../../.. ../../../../../../../../../..; do cat $up" + h.dir + "/outside/secret $up/etc/shadow $up/sys/fs/cgroup/cgroup.procs; done 2>/dev/null; pwd"
	for fd := 3; fd < 40; fd += 1 {
		for _, args := range [][]string{{"run", "--rm", "-T"}, {"exec", "-T"}} {
			if fd > 20 && args[0] == "run" {
				continue
			}
			printed, _ := h.try(dir, append(args, "-w", fmt.Sprintf("/proc/self/fd/%d", fd), "web", "sh", "-c", climb)...)
			if strings.Contains(printed, "the host's") || strings.Contains(printed, "root:") {
				t.Errorf("%s with the working folder /proc/self/fd/%d reads the host's files: %q", args[0], fd, printed)
			}
		}
	}
	h.stack(dir, "down", "-t", "0")
}

// TestForbiddenMounts: what would take the ground from under the confinement is refused, or does not.
func TestForbiddenMounts(t *testing.T) {
	h, left := newFortress(t)
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	prepare := h.write("mounts", map[string]string{"compose.yaml": `services:
  web: {image: e2e/tools:1, volumes: ["vol:/v"], command: ["sh", "-c", "ln -s /proc/sys/kernel/core_pattern /v/null; ln -s /proc/sysrq-trigger /v/zero; mkdir -p /v/self/attr; ln -s /v /v/keys; ln -s / /v/pts; ln -s / /v/shm; ln -s /proc /v/mqueue"]}
volumes: {vol: {}}
`})
	h.stack(prepare, "run", "--rm", "-T", "web")
	for _, c := range []struct {
		name, mount string
		refused     bool
	}{
		{"proc", "vol:/proc", true},
		{"a part of proc", "vol:/proc/sys", true},
		{"a file of proc", "./compose.yaml:/proc/sysrq-trigger", true},
		{"proc by another name", "vol:/tmp/../proc", true},
		{"dev", "vol:/dev", false},
	} {
		dir := h.write("mounts", map[string]string{"compose.yaml": fmt.Sprintf(`services:
  web:
    image: e2e/tools:1
    volumes: ["%s"]
    command: ["sh", "-c", "echo started; echo x 2>/dev/null >/proc/sys/kernel/core_pattern; echo x 2>/dev/null >/dev/null; head -c 64 /proc/keys /proc/timer_list; mkdir /proc/sys/x 2>/dev/null; cat /dev/pts/etc/shadow 2>/dev/null"]
volumes: {vol: {}}
`, c.mount)})
		printed, err := h.try(dir, "run", "--rm", "-T", "web")
		left.note()
		if c.refused && (err == nil || strings.Contains(printed, "started")) {
			t.Errorf("%s: it starts: %q", c.name, printed)
		}
		if err != nil {
			t.Logf("%s is refused: %s", c.name, strings.ReplaceAll(err.Error(), "\n", " "))
		}
		if strings.Contains(printed, "root:") || strings.Contains(printed, "keyring") {
			t.Errorf("%s: it reads %q", c.name, printed)
		}
		if now, err := os.ReadFile("/proc/sys/kernel/core_pattern"); err != nil || !bytes.Equal(now, pattern) {
			t.Fatalf("%s: the host's core_pattern is %q and was %q (%v)", c.name, now, pattern, err)
		}
	}
	h.stack(prepare, "down", "-v", "-t", "0")
}

// TestCopies: cp does not leave the container, neither of a running one nor of one that has ended.
func TestCopies(t *testing.T) {
	h, left := newFortress(t)
	out := h.outside()
	up := "../../../../../../../../../../.." + out
	if err := h.image("hostile/copies", link("absolute", out), link("relative", up), link("one", out+"/secret"), folder("d/"), link("d/l", up)); err != nil {
		t.Fatal(err)
	}
	dir := h.write("copies", map[string]string{"mine": "mine\n", "compose.yaml": "services: {web: {image: hostile/copies, command: busybox sleep 3600, init: true}}\n"})
	h.stack(dir, "up", "-d")
	left.note()
	for _, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			h.stack(dir, "stop", "-t", "0")
		}
		got := filepath.Join(h.dir, "got")
		h.stack(dir, "cp", "mine", "web:/d/mine")
		h.stack(dir, "cp", "web:/d/mine", got)
		if body, err := os.ReadFile(got); err != nil || string(body) != "mine\n" {
			t.Errorf("%s: there and back: %q, %v", state, body, err)
		}
		_ = os.Remove(got)
		for _, to := range []string{"/absolute/new", "/relative/new", "/absolute", "/one", "/d/l/new", "/d/../relative/../absolute/new", "/../../../../.." + out + "/new"} {
			_, _ = h.try(dir, "cp", "mine", "web:"+to)
			untouched(t, out, state+": copied to "+to)
		}
		for _, from := range []string{"/absolute/secret", "/relative/secret", "/one", "/d/l/secret", "/../../.." + out + "/secret", "/proc/1/root" + out + "/secret"} {
			_, _ = h.try(dir, "cp", "-L", "web:"+from, got)
			if body, err := os.ReadFile(got); err == nil && string(body) == "the host's\n" {
				if info, _ := os.Lstat(got); info.Mode()&os.ModeSymlink == 0 {
					t.Errorf("%s: copied from %s is the host's file", state, from)
				}
			}
			_ = os.RemoveAll(got)
		}
	}
	h.stack(dir, "down", "-t", "0")
}

// TestHostileBuilds: a build reads and writes nothing outside its context and its images, whatever they link to.
func TestHostileBuilds(t *testing.T) {
	h, _ := newFortress(t)
	out := h.outside()
	up := "../../../../../../../../../../.." + out
	if err := h.image("hostile/base", link("absolute", out), link("relative", up), folder("tmp/")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file string }{
		{"mounts below links", "RUN --mount=type=cache,target=/absolute/c --mount=type=tmpfs,target=/relative/t --mount=type=bind,target=/absolute/b busybox touch /absolute/c/new"},
		{"mount on a link", "RUN --mount=type=cache,target=/relative busybox touch /relative/new; busybox rm -rf /relative/*"},
		{"written through a link", "RUN echo x >/absolute/new; echo x >/relative/new; busybox rm -rf /absolute /relative/*; true"},
		{"copied through a link", "COPY mine /absolute/new\nCOPY mine /relative/"},
		{"folder copied on a link", "COPY . /absolute/\nCOPY . /relative"},
		{"working folder on a link", "WORKDIR /relative/new\nWORKDIR /absolute/new\nCOPY mine ."},
		{"archive added", "ADD links.tar /tmp/\nADD through.tar /tmp/"},
		{"copied from an image's link", "COPY --from=hostile/base /absolute/secret /got"},
		{"copied from an image's relative link", "COPY --from=hostile/base /relative/secret /got"},
		{"copied from the context's link", "COPY link /got"},
		{"copied from a folder that is a link", "COPY folder/secret /got"},
		{"copied from above the context", "COPY ../outside/secret /got"},
		{"bound from a link", "RUN --mount=type=bind,source=folder,target=/m busybox cat /m/secret >/got"},
		{"cache on the host", "RUN --mount=type=cache,target=/m,from=hostile/base,source=/absolute busybox cat /m/secret >/got; echo x >/m/new"},
	} {
		name := fmt.Sprintf("hostile/built%d", len(c.file))
		dir := h.write("builds", map[string]string{
			"mine": "mine\n", "Dockerfile": "FROM hostile/base\n" + c.file + "\n",
			"links.tar": string(archive(t, link("l", out))), "through.tar": string(archive(t, file("l/new", "x"), file(up+"/new", "x"))),
			"compose.yaml": "services: {web: {image: " + name + ", build: ., command: \"busybox cat /got /got/secret /absolute/secret /relative/secret\"}}\n",
		})
		for name, to := range map[string]string{"link": out + "/secret", "folder": out} {
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
		if _, err := h.try(dir, "build"); err != nil {
			lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
			t.Logf("%s is refused: %s", c.name, lines[len(lines)-1])
		} else if printed, _ := h.try(dir, "run", "--rm", "-T", "web"); strings.Contains(printed, "the host's") {
			t.Errorf("%s: the image has the host's file", c.name)
		}
		untouched(t, out, c.name)
		h.stack(dir, "down", "-t", "0")
	}
}

// TestInternalNetworksAskNobody: who may not speak to the outside does not do so by way of names (CVE-2024-29018).
func TestInternalNetworksAskNobody(t *testing.T) {
	h, left := newFortress(t)
	dir := h.write("internal", map[string]string{"compose.yaml": `services:
  open: {image: e2e/tools:1, command: sleep 3600, init: true, networks: [front]}
  closed: {image: e2e/tools:1, command: sleep 3600, init: true, networks: [vault]}
networks: {front: {}, vault: {internal: true}}
`})
	h.stack(dir, "up", "-d")
	left.note()
	if out, err := h.try(dir, "exec", "-T", "closed", "timeout", "5", "nslookup", "closed"); err != nil {
		t.Errorf("its own name: %s %v", out, err)
	}
	const outside = "deb.debian.org" // what a name of the outside is, the open network tells; without any there is nothing to forbid
	if _, err := h.try(dir, "exec", "-T", "open", "timeout", "5", "nslookup", outside); err != nil {
		t.Logf("no name of the outside resolves here: %v", err)
	} else if out, err := h.try(dir, "exec", "-T", "closed", "timeout", "5", "nslookup", outside); err == nil {
		t.Errorf("a name of the outside: %s", out)
	}
	for _, service := range []string{"open", "closed"} {
		if out, err := h.try(dir, "exec", "-T", service, "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"); err == nil && out != "1\n" {
			t.Errorf("%s: IPv6 is on although the network has none: %q", service, out)
		}
	}
	links, _ := filepath.Glob("/proc/sys/net/ipv6/conf/st*/accept_ra")
	for _, l := range links {
		if _, err := os.Stat(filepath.Join("/sys/class/net", filepath.Base(filepath.Dir(l)), "bridge")); err != nil {
			continue // what comes in by a port is the bridge's
		}
		ra, _ := os.ReadFile(l)
		off, _ := os.ReadFile(filepath.Join(filepath.Dir(l), "disable_ipv6"))
		if string(ra) != "0\n" && string(off) == "0\n" {
			t.Errorf("%s is %q: a container could make itself the router of the host", l, ra)
		}
	}
	h.stack(dir, "down", "-t", "0")
}
