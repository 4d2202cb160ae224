package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/docker/docker/api/types/build"
	dockerimage "github.com/docker/docker/api/types/image"
	"golang.org/x/sys/unix"
)

// TestNothingIsLeft removes an image and its build cache and looks for what is left.
func TestNothingIsLeft(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	snapshotsOf := func() (names []string) {
		t.Helper()
		if err := b.sn.CollectNow(ctx); err != nil {
			t.Fatal(err)
		}
		err := b.sn.Snapshotter().Walk(b.sn.Context(ctx), func(_ context.Context, i snapshots.Info) error {
			names = append(names, i.Name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	blobs := func() int {
		t.Helper()
		files, err := os.ReadDir(filepath.Join(b.root, "images/content/blobs/sha256"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	snapshotsBefore, blobsBefore := snapshotsOf(), blobs()
	id, out, err := b.build(build.ImageBuildOptions{Tags: []string{"app"}}, map[string]string{"Dockerfile": "FROM busybox\nCOPY f /f\nRUN echo 1 > /1\n", "f": "f"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if freed, err := b.builder.Prune(ctx); err != nil || freed == 0 {
		t.Fatalf("%d bytes freed, %v", freed, err)
	}
	snapshotsOf()
	v := b.view(id)
	if v.read("/1") != "1\n" || v.read("/f") != "f" {
		t.Errorf("without its build cache the image has lost files")
	}
	b.sn.Lower(ctx, v.img.Snapshot)
	if _, err := b.images.Remove(ctx, "app", dockerimage.RemoveOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	b.close() // the pins of the views go with the process that took them
	b.open()
	b.sn.Settle()
	if after := snapshotsOf(); len(after) != len(snapshotsBefore) {
		t.Errorf("snapshots %v, before %v", after, snapshotsBefore)
	}
	if after := blobs(); after != blobsBefore {
		t.Errorf("%d blobs, before %d", after, blobsBefore)
	}
}

// TestSweep leaves what a killed engine leaves and opens a builder.
func TestSweep(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "build")
	pool := filepath.Join(dir, mountPool, "buildkit1")
	temporary := filepath.Join(root, localPrefix+"1")
	other := filepath.Join(root, "other")
	layers := filepath.Join(root, "layers")
	for _, d := range []string{pool, temporary, other, layers + "/1", layers + "/2"} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{pool, temporary, other} {
		if err := unix.Mount("overlay", target, "overlay", 0, "lowerdir="+layers+"/1:"+layers+"/2"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	}
	mounted := func() (names []string) {
		data, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], root) {
				names = append(names, strings.TrimPrefix(fields[4], root))
			}
		}
		return names
	}
	New(Options{Root: dir})
	if got := mounted(); len(got) != 3 {
		t.Errorf("without the mark of a build mounts were removed; there are %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, runningMark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	New(Options{Root: dir})
	if got := mounted(); len(got) != 1 || got[0] != "/other" {
		t.Errorf("left mounted: %v, want what is not a build's", got)
	}
}
