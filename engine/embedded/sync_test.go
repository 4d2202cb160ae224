package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
)

// batch is a tar of so many files with the same text, and how they look afterwards.
func (l *lab) batch(dir string, n int, text string) ([]byte, []engine.FileState) {
	l.Helper()
	var out bytes.Buffer
	var states []engine.FileState
	w := tar.NewWriter(&out)
	for i := range n {
		name := fmt.Sprintf("%s/d%d/%d", dir, i%7, i)
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(1e9, 0)}
		if err := w.WriteHeader(h); err != nil {
			l.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			l.Fatal(err)
		}
		states = append(states, engine.FileState{Path: name, Mode: 0o644, Size: h.Size, ModTime: h.ModTime})
	}
	if err := w.Close(); err != nil {
		l.Fatal(err)
	}
	return out.Bytes(), states
}

func (l *lab) syncTo(ref string, content []byte) error {
	return l.SyncFiles(l.Context(), ref, bytes.NewReader(content), engine.SyncOptions{Remove: []string{"/app/none"}})
}

// A container is restarted and removed while files go into it. Every call succeeds or says that the container ended; what
// comes after is right.
func TestSyncWhileTheContainerComesAndGoes(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	content, states := l.batch("/app", 300, "text")
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.syncTo(id, content); err != nil && !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("sync: %v", err)
				}
				if _, err := l.CompareFiles(t.Context(), id, states); err != nil && !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("compare: %v", err)
				}
			}
		})
	}
	now := 0
	for range 5 {
		if err := l.ContainerRestart(t.Context(), id, dockercontainer.StopOptions{Timeout: &now}); err != nil {
			t.Error(err)
		}
	}
	if err := l.syncTo(id, content); err != nil {
		t.Error(err)
	}
	if differ, err := l.CompareFiles(t.Context(), id, states); err != nil || len(differ) > 0 {
		t.Errorf("%d differ, %v", len(differ), err)
	}
	l.remove(id)
	close(stop)
	all.Wait()
	if err := l.syncTo(id, content); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a sync into nothing: %v", err)
	}
}

// Who sends a tar and stops in the middle does not keep the container from being started again.
func TestASyncThatStallsHoldsNothing(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	content, states := l.batch("/app", 3, "text")
	reader, writer := io.Pipe()
	defer writer.Close()
	result := make(chan error, 1)
	go func() { result <- l.SyncFiles(t.Context(), id, reader, engine.SyncOptions{}) }()
	if _, err := writer.Write(content[:1200]); err != nil { // the first file, and the beginning of the second
		t.Fatal(err)
	}
	now := 0
	if err := l.ContainerRestart(t.Context(), id, dockercontainer.StopOptions{Timeout: &now}); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the sync that stalled: %v", err)
	}
	if err := l.syncTo(id, content); err != nil {
		t.Error(err)
	}
	if differ, err := l.CompareFiles(t.Context(), id, states); err != nil || len(differ) > 0 {
		t.Errorf("%d differ, %v", len(differ), err)
	}
}

// Who sends nothing any more does not keep others waiting for ever; who has nobody that reads may take any time.
func TestASyncThatFallsSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		defer to.Close()
		content := newSender(t.Context(), from, silence)
		began := time.Now()
		go func() { _, _ = io.WriteString(to, "text") }()
		time.Sleep(10 * silence)
		got := make([]byte, 4)
		if _, err := io.ReadFull(content, got); err != nil || string(got) != "text" {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := content.Read(got); !errors.Is(err, engine.ErrUnavailable) || time.Since(began) != 11*silence {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// As long as somebody has the root of an earlier run open, nothing mounts it again.
func TestARootThatIsOpenIsNotMountedAgain(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	now := 0
	if err := l.ContainerStop(t.Context(), id, dockercontainer.StopOptions{Timeout: &now}); err != nil {
		t.Fatal(err)
	}
	content, _ := l.batch("/app", 3, "text")
	calls := map[string]func(ctx context.Context) error{
		"start": func(ctx context.Context) error { return l.ContainerStart(ctx, id) },
		"sync": func(ctx context.Context) error {
			return l.SyncFiles(ctx, id, bytes.NewReader(content), engine.SyncOptions{})
		},
		"stat": func(ctx context.Context) error { _, err := l.StatPath(ctx, id, "/etc"); return err },
	}
	_, release := l.roots.use(id)
	for what, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s while the root is open: %v", what, err)
		}
		cancel()
	}
	release()
	for what, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v", what, err)
		}
	}
}

// A file system that does not answer keeps nobody from starting or removing a container for ever.
func TestARootThatStaysOpenIsToldInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var roots rootUses
		_, release := roots.use("one")
		began := time.Now()
		if err := roots.released(t.Context(), "one"); !errors.Is(err, engine.ErrUnavailable) || time.Since(began) != releaseTime {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		release()
		if err := roots.released(t.Context(), "one"); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncRespectsWhatIsReadOnly(t *testing.T) {
	l := newLab(t)
	readOnly := dockercontainer.HostConfig{ReadonlyRootfs: true, Mounts: []mount.Mount{
		{Type: mount.TypeVolume, Source: "fixed", Target: "/fixed", ReadOnly: true},
		{Type: mount.TypeVolume, Source: "free", Target: "/free"},
	}}
	made, err := l.ContainerCreate(t.Context(), "web", l.config(readOnly, "sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.remove(made.ID) })
	check := func(when string) {
		for dir, kind := range map[string]error{"/etc": engine.ErrForbidden, "/fixed": engine.ErrForbidden, "/free/of": nil} {
			content, states := l.batch(dir, 3, when)
			if err := l.syncTo(made.ID, content); kind == nil && err != nil || kind != nil && !errors.Is(err, kind) {
				t.Errorf("%s, %s: %v", when, dir, err)
			}
			if differ, err := l.CompareFiles(t.Context(), made.ID, states); err != nil || (len(differ) == 0) != (kind == nil) {
				t.Errorf("%s, %s: %v differ, %v", when, dir, differ, err)
			}
		}
	}
	check("before it runs")
	if err := l.ContainerStart(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	check("while it runs")
}
