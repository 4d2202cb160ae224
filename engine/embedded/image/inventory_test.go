package image

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"

	"stackrun.dev/stack/engine/embedded/snapshot"
)

// inventory names everything that the store has on the disk or in its records: blobs, snapshots, unfinished writes.
func inventory(t *testing.T, sn *snapshot.Store) []string {
	t.Helper()
	ctx := sn.Context(context.Background())
	var out []string
	if err := sn.Content().Walk(ctx, func(i content.Info) error { out = append(out, "blob "+i.Digest.String()); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := sn.Snapshotter().Walk(ctx, func(_ context.Context, i snapshots.Info) error { out = append(out, "snapshot "+i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"content/blobs/sha256", "content/ingest", "overlay/snapshots"} {
		left, err := os.ReadDir(filepath.Join(sn.Root(), dir))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range left {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}
