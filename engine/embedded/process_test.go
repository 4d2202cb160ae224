package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
)

// The number that is recorded for a container's process may be another one's by now, of another container or of the host. Whatever
// is done by it must not reach that one.
func TestARecordedPidIsNotTrusted(t *testing.T) {
	l := newLab(t)
	one, other := l.background("one", dockercontainer.HostConfig{IpcMode: "shareable"}), l.background("other", dockercontainer.HostConfig{IpcMode: "shareable"})
	namespaces := "for i in net ipc pid; do readlink /proc/1/ns/$i; done"
	own := execIn(t, l.Engine, one, "echo one > /tmp/name; "+namespaces)
	execIn(t, l.Engine, other, "echo other > /tmp/name")
	found := l.containers.Get(one)
	wrong := l.containers.Get(other).State().Pid
	found.Change(func(r *container.Record) { r.State.Pid = wrong })

	l.want("copied out", l.text(one, "/tmp/name"), "one\n")
	content, states := l.batch("/tmp/synced", 3, "text")
	if err := l.syncTo(one, content); err != nil {
		t.Error(err)
	}
	if differ, err := l.CompareFiles(t.Context(), one, states); err != nil || len(differ) > 0 {
		t.Errorf("%v differ, %v", differ, err)
	}
	if err := l.CopyTo(t.Context(), one, "/tmp", bytes.NewReader(content), dockercontainer.CopyToContainerOptions{}); err != nil {
		t.Error(err)
	}
	l.want("in the other container", execIn(t, l.Engine, other, "ls /tmp"), "name\n")

	joined := dockercontainer.HostConfig{NetworkMode: dockercontainer.NetworkMode("container:" + one), IpcMode: dockercontainer.IpcMode("container:" + one), PidMode: dockercontainer.PidMode("container:" + one)}
	l.want("joined namespaces", l.output(joined, strings.ReplaceAll(namespaces, "/1/", "/self/")), own)

	if _, err := l.NetworkCreate(t.Context(), "more", dockernet.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.NetworkRemove(context.WithoutCancel(t.Context()), "more") })
	if err := l.NetworkConnect(t.Context(), "more", one, nil); err != nil {
		t.Fatal(err)
	}
	l.want("links of the connected one", execIn(t, l.Engine, one, "ls /sys/class/net | wc -l"), "3\n")
	l.want("links of the other one", execIn(t, l.Engine, other, "ls /sys/class/net | wc -l"), "2\n")
	if err := l.NetworkDisconnect(t.Context(), "more", one, false); err != nil {
		t.Error(err)
	}
}

// text reads a regular file of a container.
func (l *lab) text(ref, path string) string {
	l.Helper()
	content, _, err := l.CopyFrom(l.Context(), ref, path)
	if err != nil {
		l.Fatal(err)
	}
	defer content.Close()
	var text strings.Builder
	if err := firstFile(content, &text); err != nil {
		l.Fatal(err)
	}
	return text.String()
}

// A container that has ended without anybody having told the record is told to have ended.
func TestWhatHasEndedIsNotReached(t *testing.T) {
	b := newBench(t)
	made, err := b.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &dockercontainer.Config{Image: b.image, Cmd: []string{"run"}}, Host: &dockercontainer.HostConfig{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ContainerStart(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	b.runtime.set("OpenProc", engine.Errorf(engine.ErrConflict, "it has ended"))
	calls := map[string]func() error{
		"stat": func() error { _, err := b.StatPath(t.Context(), made.ID, "/etc"); return err },
		"copy from": func() error {
			content, _, err := b.CopyFrom(t.Context(), made.ID, "/etc")
			if err == nil {
				content.Close()
			}
			return err
		},
		"copy to": func() error {
			return b.CopyTo(t.Context(), made.ID, "/etc", bytes.NewReader(nil), dockercontainer.CopyToContainerOptions{})
		},
		"sync": func() error {
			return b.SyncFiles(t.Context(), made.ID, io.LimitReader(nil, 0), engine.SyncOptions{})
		},
	}
	for what, call := range calls {
		if err := call(); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// firstFile copies the content of the first entry of a tar.
func firstFile(from io.Reader, to io.Writer) error {
	archive := tar.NewReader(from)
	if _, err := archive.Next(); err != nil {
		return err
	}
	_, err := io.Copy(to, archive)
	return err
}
