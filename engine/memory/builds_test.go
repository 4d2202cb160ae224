package memory_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine/memory"
)

// A build that is given up ends at once, whatever runs in it.
func TestABuildEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer func() { _ = e.Close() }()
		e.AddImage("busybox", container.Config{Cmd: []string{"sh"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := e.ImageBuild(ctx, contextOf(t, "FROM busybox\nRUN sleep 1000\n"), build.ImageBuildOptions{Tags: []string{"slow"}}, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v it returns %v", time.Since(began), err)
		}
	})
}

func contextOf(t *testing.T, dockerfile string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, dockerfile); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}
