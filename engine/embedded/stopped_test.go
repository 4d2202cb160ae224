package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
)

// created makes a container that does not run.
func (l *lab) created(name string, host dockercontainer.HostConfig, args ...string) string {
	l.Helper()
	made, err := l.ContainerCreate(l.Context(), name, l.config(host, args...))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { l.remove(made.ID) })
	return made.ID
}

func (l *lab) put(id, dir, name, text string) error {
	l.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}
	if err := errors.Join(w.WriteHeader(h), write(w, text), w.Close()); err != nil {
		l.Fatal(err)
	}
	return l.CopyTo(l.Context(), id, dir, &out, dockercontainer.CopyToContainerOptions{})
}

func write(to io.Writer, text string) error { _, err := io.WriteString(to, text); return err }

// Binds of directories, files and sockets, one in the other, at places that are links or not there: each path means what it means
// when the container runs, and the host sees nothing of the mounts.
func TestAStoppedContainerSeesItsBinds(t *testing.T) {
	l := newLab(t)
	host := t.TempDir()
	for name, text := range map[string]string{"dir/file": "in dir\n", "single": "single\n", "deep/file": "deep\n"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(host, name)), 0o755), os.WriteFile(filepath.Join(host, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.Listen("unix", filepath.Join(host, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	id := l.created("web", dockercontainer.HostConfig{Binds: []string{
		host + "/dir:/new/dir", host + "/deep:/new/dir/deep", host + "/single:/etc/single", host + "/socket:/run/socket", host + "/none:/none",
	}}, "cat", "/new/dir/deep/more", "/new/dir/file", "/etc/single")
	l.want("a file in a bind", l.text(id, "/new/dir/file"), "in dir\n")
	l.want("a file in a bind in a bind", l.text(id, "/new/dir/deep/file"), "deep\n")
	l.want("a file that is a bind", l.text(id, "/etc/single"), "single\n")
	if stat, err := l.StatPath(t.Context(), id, "/run/socket"); err != nil || stat.Mode&os.ModeSocket == 0 {
		t.Errorf("a socket: %+v, %v", stat, err)
	}
	if err := l.put(id, "/none", "file", "x"); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("a bind without a source: %v", err)
	}
	if err := l.put(id, "/new/dir/deep", "more", "more\n"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(host, "deep/more")); err != nil || string(text) != "more\n" {
		t.Errorf("on the host: %q, %v", text, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(host)) || bytes.Contains(mounts, []byte(id)) {
		t.Errorf("mounts of the host, %v:\n%s", err, mounts)
	}
	if err := l.ContainerStart(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// A mount at a link of the image is where the link leads, and stays there for cp.
func TestAMountAtALink(t *testing.T) {
	l := newLab(t)
	first := l.created("first", dockercontainer.HostConfig{Binds: []string{"kept:/kept"}}, "true")
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/../../kept"}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := l.CopyTo(t.Context(), first, "/", &links, dockercontainer.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/link", "/link/", "/link/."} {
		if err := l.put(first, name, "file", "text"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		l.want(name, l.text(first, strings.TrimSuffix(name, ".")+"/file"), "text")
	}
	l.want("in the volume", l.output(dockercontainer.HostConfig{Binds: []string{"kept:/v"}}, "cat /v/file"), "text")
}

// Nothing that is done to the files of a container that does not run leaves something open or mounted.
func TestStoppedTreesAreGivenBack(t *testing.T) {
	l := newLab(t)
	id := l.created("web", dockercontainer.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: "v", Target: "/v"}}, ReadonlyRootfs: true}, "true")
	content, states := l.batch("/v", 3, "text")
	all := func() {
		_ = l.text(id, "/etc/plain")
		if err := errors.Join(l.syncTo(id, content), l.put(id, "/v", "x", "y")); err != nil {
			t.Error(err)
		}
		if _, err := l.CompareFiles(t.Context(), id, states); err != nil {
			t.Error(err)
		}
		if _, err := l.StatPath(t.Context(), id, "/none"); !errors.Is(err, engine.ErrNotFound) {
			t.Error(err)
		}
	}
	all()
	before := descriptors(t)
	for range 5 {
		all()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// stalls begin a transfer that stops in the middle, and return what the client is told when it goes on.
var stalls = map[string]func(l *lab, id string) func() error{
	"copy to": func(l *lab, id string) func() error {
		return l.stalling(func(from io.Reader) error {
			return l.CopyTo(l.Context(), id, "/tmp", from, dockercontainer.CopyToContainerOptions{})
		})
	},
	"sync": func(l *lab, id string) func() error {
		return l.stalling(func(from io.Reader) error {
			return l.SyncFiles(l.Context(), id, from, engine.SyncOptions{})
		})
	},
	"copy from": func(l *lab, id string) func() error {
		archive, _, err := l.CopyFrom(l.Context(), id, "/bin/busybox")
		if err != nil {
			l.Fatal(err)
		}
		if _, err := io.ReadFull(archive, make([]byte, 1024)); err != nil {
			l.Fatal(err)
		}
		l.Cleanup(func() { archive.Close() })
		return func() error { _, err := io.Copy(io.Discard, archive); return err }
	},
}

// stalling sends so much of an archive that its first file must have been written, whatever holds some of it on the way.
func (l *lab) stalling(transfer func(io.Reader) error) func() error {
	l.Helper()
	content, _ := l.batch("/tmp", 2, strings.Repeat("text", 100<<10))
	reader, writer := io.Pipe()
	l.Cleanup(func() { writer.Close() })
	result := make(chan error, 1)
	go func() { result <- transfer(reader) }()
	if _, err := writer.Write(content[:len(content)*3/4]); err != nil {
		l.Fatal(err)
	}
	return func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(10 * patience):
			return errors.New("nothing at all")
		}
	}
}

// A client that stops in the middle of an archive does not keep others from a container that does not run. It is told.
func TestAStalledClientKeepsNobodyWaiting(t *testing.T) {
	for what, stall := range stalls {
		for next, act := range map[string]func(l *lab, id string) error{
			"start": func(l *lab, id string) error { return l.ContainerStart(l.Context(), id) },
			"remove": func(l *lab, id string) error {
				return l.ContainerRemove(l.Context(), id, dockercontainer.RemoveOptions{})
			},
			"rename": func(l *lab, id string) error { return l.ContainerRename(l.Context(), id, "other") },
		} {
			t.Run(what+", "+next, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				id := l.created("web", dockercontainer.HostConfig{Binds: []string{"v:/v"}}, "true")
				told := stall(l, id)
				ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- act(l, id) }()
				select {
				case err := <-done:
					if err != nil {
						t.Error(err)
					}
				case <-ctx.Done():
					t.Fatal("it waits for the client")
				}
				if err := told(); !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("the client was told %v", err)
				}
			})
		}
	}
}

// A client may take its time as long as nobody waits, and others wait for it no longer than patience at a time.
func TestTheTimeOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		defer to.Close()
		s := newSender(t.Context(), from, 0)
		defer s.Close()
		send := func(after time.Duration) { time.Sleep(after); _, _ = io.WriteString(to, "x") }
		read := func() error { _, err := io.ReadFull(s, make([]byte, 1)); return err }
		go send(time.Hour)
		if err := read(); err != nil {
			t.Fatalf("nobody waits: %v", err)
		}
		s.hurry()
		for range 5 {
			go send(patience - 1)
			if err := read(); err != nil {
				t.Fatalf("it is at work: %v", err)
			}
		}
		began := time.Now()
		if err := read(); !errors.Is(err, engine.ErrUnavailable) || time.Since(began) != patience {
			t.Errorf("it stalls: %v after %v", err, time.Since(began))
		}
	})
}

// Who hurries a client that is being waited for already waits for it no longer, either.
func TestAClientThatStalledBeforeSomebodyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		c, stop := newTaker(t.Context(), writer)
		defer stop()
		go func() { time.Sleep(time.Hour); c.hurry() }()
		began := time.Now()
		if _, err := c.Write([]byte("x")); err == nil || time.Since(began) != time.Hour+patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("the client was told %v", err)
		}
	})
}

// What a client sends slowly into one run of a container does not hold up the next one.
func TestACopyIntoARunEndsWithTheNextOne(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	told := stalls["copy to"](l, id)
	now := 0
	began := time.Now()
	if err := l.ContainerRestart(t.Context(), id, dockercontainer.StopOptions{Timeout: &now}); err != nil {
		t.Error(err)
	}
	if err := told(); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the client was told %v", err)
	}
	if took := time.Since(began); took > releaseTime {
		t.Errorf("the restart took %v", took)
	}
}
