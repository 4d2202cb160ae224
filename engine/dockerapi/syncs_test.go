package dockerapi_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// tarWith makes a tar of regular files.
func tarWith(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, text := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(1e9, 0)})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSyncRequests(t *testing.T) {
	e, server := newServer(t)
	if _, err := e.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &container.Config{Image: "app"}}); err != nil {
		t.Fatal(err)
	}
	content := string(tarWith(t, map[string]string{"/app/a": "1"}))
	same := engine.FileState{Path: "/app/a", Mode: 0o644, Size: 1, ModTime: time.Unix(1e9, 0)}
	states := func(files ...engine.FileState) string {
		var out bytes.Buffer
		if err := engine.WriteFileStates(&out, files); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/_stack/containers/web/files/sync", "{}\n" + content, 204, ""},
		{"/v1.41/_stack/containers/web/files/sync", `{"remove":["/app/none"]}` + "\n" + content, 204, ""},
		{"/_stack/containers/web/files/compare", "", 200, "[]"},
		{"/v1.51/_stack/containers/web/files/compare", states(same, same, engine.FileState{Path: "/x"}, same), 200, "[2]"},
		{"/_stack/containers/web/files/compare", states(same)[:9], 400, "cannot read what the files are compared with"},
		{"/_stack/containers/web/files/compare", `["/app/a"]`, 400, "cannot read what the files are compared with"},
		{"/_stack/containers/none/files/compare", states(same), 404, "none"},
		{"/_stack/containers/none/files/sync", "{}\n" + content, 404, "none"},
		{"/_stack/containers/web/files/sync", "", 400, "cannot read the options"},
		{"/_stack/containers/web/files/sync", content, 400, "cannot read the options"},
		{"/_stack/containers/web/files/sync", "{}" + content, 400, "no newline"},
		{"/_stack/containers/web/files/sync", "{}\nno tar" + strings.Repeat(" ", 600), 400, "cannot read the archive"},
		{"/_stack/containers/web/files/sync", "{}\n" + content[:512], 400, "cannot read"},
		{"/_stack/containers/web/files/none", "", 404, "page not found"},
	} {
		status, body := ask(t, server, "POST", c.path, c.body)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s with %.40q: status %d %s, want %d %s", c.path, c.body, status, body, c.status, c.says)
		}
	}
}

// A client that is told an error before it has sent everything reads that error, not that the connection broke.
func TestSyncRefusedWhileItIsSent(t *testing.T) {
	behind := memory.New()
	defer behind.Close()
	e := serve(t, behind)
	content := tarWith(t, map[string]string{"/a": strings.Repeat("x", 8<<20)})
	long := []engine.FileState{{Path: "/a", Link: strings.Repeat("x", 10_000)}}
	tooLong := []engine.FileState{{Path: strings.Repeat("/a", 10_000)}}
	for range 20 {
		err := e.SyncFiles(t.Context(), "none", bytes.NewReader(content), engine.SyncOptions{})
		if !errors.Is(err, engine.ErrNotFound) {
			t.Fatalf("got %v", err)
		}
		_, err = e.CompareFiles(t.Context(), "none", slices.Concat(tooLong, slices.Repeat(long, 500)))
		if !errors.Is(err, engine.ErrInvalid) {
			t.Fatalf("got %v", err)
		}
	}
}

// older is an engine that does not sync by itself. It counts what it hands out.
type older struct {
	engine.Engine
	mu     sync.Mutex
	copied []string
}

func (o *older) Version(ctx context.Context) (types.Version, error) {
	v, err := o.Engine.Version(ctx)
	v.Components = nil
	return v, err
}

func (o *older) CopyFrom(ctx context.Context, ref, path string) (io.ReadCloser, container.PathStat, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.copied = append(o.copied, path)
	return o.Engine.CopyFrom(ctx, ref, path)
}

func (o *older) CompareFiles(context.Context, string, []engine.FileState) ([]int, error) {
	return nil, errors.New("it was asked to compare by itself")
}

func TestCompareWithCopies(t *testing.T) {
	behind := memory.New()
	defer behind.Close()
	behind.AddImage("app", container.Config{Cmd: []string{"sleep", "1000"}})
	if _, err := behind.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &container.Config{Image: "app"}}); err != nil {
		t.Fatal(err)
	}
	files, big := map[string]string{}, strings.Repeat("x", 20<<20)
	for i := range 30 {
		files[fmt.Sprintf("/app/src/%d", i)] = fmt.Sprint(i)
		files[fmt.Sprintf("/app/lib/deep/%d", i)] = fmt.Sprint(i)
		files[fmt.Sprintf("/srv/%d", i)] = fmt.Sprint(i)
	}
	files["/app/lib/cache/1"], files["/app/lib/cache/2"] = big, big
	err := behind.SyncFiles(t.Context(), "web", bytes.NewReader(tarWith(t, files)), engine.SyncOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := func(dir string, n int) []engine.FileState {
		var all []engine.FileState
		for i := range n {
			all = append(all, engine.FileState{Path: fmt.Sprintf("%s/%d", dir, i), Mode: 0o644, Size: int64(len(fmt.Sprint(i))), ModTime: time.Unix(1e9, 0)})
		}
		return all
	}
	for _, c := range []struct {
		what   string
		files  []engine.FileState
		differ int
		copies []string // what was fetched, sorted
	}{
		{"one directory", want("/app/src", 30), 0, []string{"/app/src/."}},
		{"a few files", want("/app/src", 2), 0, []string{"/app/src/0", "/app/src/1"}},
		{"one directory, not all there", want("/app/src", 35), 5, []string{"/app/src/."}},
		{"a directory that is not there", want("/app/none", 30), 30, []string{"/app/none/."}},
		{"what has the root in common", append(want("/app/src", 30), want("/srv", 30)...), 0, []string{"/app/src/.", "/srv/."}},
		{"a directory with much else in it", append(want("/app/src", 30), want("/app/lib/deep", 30)...), 0, []string{"/app/.", "/app/lib/deep/.", "/app/src/."}},
	} {
		o := &older{Engine: behind}
		differ, err := serve(t, o).CompareFiles(t.Context(), "web", c.files)
		if err != nil || len(differ) != c.differ {
			t.Errorf("%s: %d differ, %v, want %d", c.what, len(differ), err, c.differ)
		}
		slices.Sort(o.copied)
		if !slices.Equal(o.copied, c.copies) {
			t.Errorf("%s: fetched %q, want %q", c.what, o.copied, c.copies)
		}
	}
	if _, err := serve(t, &older{Engine: behind}).CompareFiles(t.Context(), "none", want("/app", 1)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a container that is not there: %v", err)
	}
}
