package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	dockernet "github.com/docker/docker/api/types/network"
	dockervolume "github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/enginetest"
)

// lab is an engine with an image, for trying single features on real containers.
type lab struct {
	*testing.T
	*Engine
	image string
}

func newLab(t *testing.T) *lab {
	l := &lab{T: t, Engine: open(t)}
	l.image = enginetest.ImportImage(t, l.Engine)
	return l
}

func (l *lab) config(host dockercontainer.HostConfig, args ...string) engine.CreateConfig {
	return engine.CreateConfig{Config: &dockercontainer.Config{Image: l.image, Cmd: args}, Host: &host}
}

// background starts a container that lives until the test ends.
func (l *lab) background(name string, host dockercontainer.HostConfig) string {
	l.Helper()
	c := start(l, l.Engine, name, l.config(host, "sleep", "1000"))
	l.Cleanup(func() { l.remove(c.ID) })
	return c.ID
}

func (l *lab) remove(ref string) {
	err := l.ContainerRemove(context.WithoutCancel(l.Context()), ref, dockercontainer.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		l.Error(err)
	}
}

// output runs a shell script in a container of its own and returns what it printed.
func (l *lab) output(host dockercontainer.HostConfig, script string) string {
	l.Helper()
	c := start(l, l.Engine, "", l.config(host, "sh", "-c", "exec 2>&1; "+script))
	defer l.remove(c.ID)
	if _, err := c.Await(l.Context(), ended); err != nil {
		l.Fatal(err)
	}
	var out strings.Builder
	for entry, err := range l.ContainerLogs(l.Context(), c.ID, dockercontainer.LogsOptions{ShowStdout: true, ShowStderr: true}) {
		if err != nil {
			l.Fatal(err)
		}
		out.Write(entry.Line)
	}
	return out.String()
}

func (l *lab) want(what, got, want string) {
	l.Helper()
	if got != want {
		l.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestSharedNamespaces(t *testing.T) {
	l := newLab(t)
	owner := l.background("owner", dockercontainer.HostConfig{IpcMode: "shareable"})
	own := execIn(t, l.Engine, owner, "readlink /proc/1/ns/ipc; readlink /proc/self/ns/pid; echo kept > /dev/shm/file")
	l.want("IPC and processes of another container", l.output(dockercontainer.HostConfig{
		IpcMode: dockercontainer.IpcMode("container:" + owner), PidMode: dockercontainer.PidMode("container:" + owner),
	}, "readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid"), own)
	l.want("shared memory", l.output(dockercontainer.HostConfig{IpcMode: "container:owner"}, "cat /dev/shm/file"), "kept\n")
	l.want("hosts file and host name of a shared network",
		l.output(dockercontainer.HostConfig{NetworkMode: "container:owner"}, "cat /etc/hostname; hostname"), strings.Repeat(owner[:12]+"\n", 2))
	host, _ := os.Readlink("/proc/self/ns/net")
	l.want("the host's network", l.output(dockercontainer.HostConfig{NetworkMode: "host"}, "readlink /proc/self/ns/net"), host+"\n")
}

func TestFilesOfTheEngine(t *testing.T) {
	l := newLab(t)
	l.want("name servers on the default bridge", l.output(dockercontainer.HostConfig{DNS: []string{"9.9.9.9"}, DNSSearch: []string{"a.test"}, DNSOptions: []string{"ndots:2"}},
		"cat /etc/resolv.conf"), "nameserver 9.9.9.9\nsearch a.test\noptions ndots:2\n")
	if _, err := l.NetworkCreate(t.Context(), "net", dockernet.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.want("name servers elsewhere", l.output(dockercontainer.HostConfig{NetworkMode: "net", DNSSearch: []string{"."}}, "cat /etc/resolv.conf"),
		"nameserver 127.0.0.11\noptions ndots:0\n")
	hosts := l.output(dockercontainer.HostConfig{ExtraHosts: []string{"a:10.1.2.3", "b=10.4.5.6", "gate:host-gateway"}}, "cat /etc/hosts")
	gateway, err := l.hostGateway()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"127.0.0.1\tlocalhost\n", "10.1.2.3\ta\n", "10.4.5.6\tb\n", gateway + "\tgate\n"} {
		if !strings.Contains(hosts, line) {
			t.Errorf("%q is not in %q", line, hosts)
		}
	}
	l.background("db", dockercontainer.HostConfig{})
	l.want("a link of the default bridge", l.output(dockercontainer.HostConfig{Links: []string{"db:store"}}, "ping -c1 -W5 store > /dev/null && echo found"), "found\n")
	if err := l.NetworkRemove(t.Context(), "net"); err != nil {
		t.Error(err)
	}
}

func TestAContainerOfTheDefaultBridgeLearnsNames(t *testing.T) {
	l := newLab(t)
	if _, err := l.NetworkCreate(t.Context(), "net", dockernet.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.background("db", dockercontainer.HostConfig{NetworkMode: "net"})
	l.background("web", dockercontainer.HostConfig{})
	before := execIn(t, l.Engine, "web", "cat /etc/resolv.conf")
	if err := l.NetworkConnect(t.Context(), "net", "web", nil); err != nil {
		t.Fatal(err)
	}
	l.want("connected", execIn(t, l.Engine, "web", "ping -c1 -W5 db > /dev/null && echo found"), "found\n")
	if err := l.NetworkDisconnect(t.Context(), "net", "web", false); err != nil {
		t.Fatal(err)
	}
	l.want("disconnected", execIn(t, l.Engine, "web", "cat /etc/resolv.conf"), before)
	l.remove("db")
	l.remove("web")
	if err := l.NetworkRemove(t.Context(), "net"); err != nil {
		t.Error(err)
	}
}

func TestMounts(t *testing.T) {
	l := newLab(t)
	made, err := l.VolumeCreate(t.Context(), dockervolume.CreateOptions{Name: "data"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(made.Mountpoint, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	part := func(sub string) dockercontainer.HostConfig {
		return dockercontainer.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: "data", Target: "/m", VolumeOptions: &mount.VolumeOptions{Subpath: sub}}}}
	}
	l.want("a part of a volume", l.output(part("a"), "ls /m"), "b\n")
	if err := os.Symlink("/etc", filepath.Join(made.Mountpoint, "escape")); err != nil {
		t.Fatal(err)
	}
	broken, err := l.ContainerCreate(t.Context(), "broken", l.config(part("escape"), "ls", "/m"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ContainerStart(t.Context(), broken.ID); err == nil {
		t.Error("a part that leads out of the volume was mounted")
	}
	l.remove("broken")
	l.want("a memory mount", l.output(dockercontainer.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeTmpfs, Target: "/m", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o700}}}},
		"stat -c %a /m; df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f2"), "700\n1024\n")
	l.want("a read-only root", l.output(dockercontainer.HostConfig{ReadonlyRootfs: true, Tmpfs: map[string]string{"/run": ""}},
		"touch /run/x && echo run; touch /x || echo root; echo x > /etc/hosts || echo hosts"), "run\ntouch: /x: Read-only file system\nroot\nsh: can't create /etc/hosts: Read-only file system\nhosts\n")
	dir := filepath.Join(t.TempDir(), "made/for/it")
	l.want("a bind that is made", l.output(dockercontainer.HostConfig{Binds: []string{dir + ":/m"}}, "touch /m/x; ls /m"), "x\n")
	l.want("a read-only bind", l.output(dockercontainer.HostConfig{Binds: []string{dir + ":/m:ro"}}, "touch /m/y || true; ls /m"), "touch: /m/y: Read-only file system\nx\n")
	if err := l.VolumeRemove(t.Context(), "data", false); err != nil {
		t.Error(err)
	}
}

func TestFilesOfAStoppedContainer(t *testing.T) {
	l := newLab(t)
	c := start(t, l.Engine, "web", l.config(dockercontainer.HostConfig{Binds: []string{"data:/vol"}}, "sh", "-c", "echo root > /file; echo volume > /vol/file"))
	defer l.remove(c.ID)
	if _, err := c.Await(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	for path, size := range map[string]int64{"/file": 5, "/vol/file": 7, "/bin/sh": -1} {
		stat, err := l.StatPath(t.Context(), "web", path)
		if err != nil || size >= 0 && stat.Size != size {
			t.Errorf("%s is %+v, %v", path, stat, err)
		}
	}
	// The container is not locked by somebody who has looked.
	if err := l.ContainerStart(t.Context(), "web"); err != nil {
		t.Error(err)
	}
	if _, err := c.Await(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
}

func TestAVolumeInMemoryEndsWithItsLastUser(t *testing.T) {
	l := newLab(t)
	v, err := l.VolumeCreate(t.Context(), dockervolume.CreateOptions{Name: "fast", DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs"}})
	if err != nil {
		t.Fatal(err)
	}
	host := dockercontainer.HostConfig{Binds: []string{"fast:/m"}}
	one, two := l.background("one", host), l.background("two", host)
	mounted := func() bool {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(mounts), v.Mountpoint)
	}
	for i, id := range []string{one, two} {
		if !mounted() {
			t.Errorf("it is gone before container %d has ended", i)
		}
		if err := l.ContainerKill(t.Context(), id, "KILL"); err != nil {
			t.Fatal(err)
		}
	}
	if mounted() {
		t.Error("it is still there after the last has ended")
	}
}
