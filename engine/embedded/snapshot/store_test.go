package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// layerOf stores a layer with one file in a directory of its own.
func layerOf(t testing.TB, ctx context.Context, s *Store, name, body string) Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, hdr := range []tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "d/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))},
	} {
		if err := w.WriteHeader(&hdr); err != nil {
			t.Fatal(err)
		}
	}
	w.Write([]byte(body))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(buf.Bytes()), Size: int64(buf.Len())}
	if err := content.WriteBlob(ctx, s.Content(), desc.Digest.String(), &buf, desc); err != nil {
		t.Fatal(err)
	}
	return Layer{Blob: desc, DiffID: desc.Digest}
}

// keys lists the snapshots.
func keys(t *testing.T, s *Store) []string {
	t.Helper()
	var out []string
	err := s.Snapshotter().Walk(s.Context(context.Background()), func(_ context.Context, i snapshots.Info) error {
		out = append(out, i.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnpackInOrderWhateverComesFirst(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, release, err := s.Hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	const count = 12
	var layers []Layer
	for i := range count {
		layers = append(layers, layerOf(t, ctx, s, "same", fmt.Sprint(i)))
	}
	// The last blob arrives first: each one waits for the one above it.
	arrived := make([]chan struct{}, count+1)
	for i := range arrived {
		arrived[i] = make(chan struct{})
	}
	for i := range arrived {
		close(arrived[len(arrived)-1-i])
	}
	var order []int
	key, err := s.Unpack(ctx, layers, UnpackHooks{
		Ready:    func(ctx context.Context, i int) error { <-arrived[i+1]; return nil },
		Unpacked: func(i int) { order = append(order, i) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range order {
		if got != i {
			t.Fatalf("unpacked in the order %v", order)
		}
	}
	dirs, done, err := s.Lower(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if len(dirs) != count {
		t.Fatalf("%d directories for %d layers", len(dirs), count)
	}
	for i, dir := range dirs {
		if b, err := os.ReadFile(filepath.Join(dir, "d/same")); err != nil || string(b) != fmt.Sprint(count-1-i) {
			t.Errorf("layer %d from the top has %q, %v", i, b, err)
		}
	}
}

func TestUnpackFailsWithTheDownload(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, release, err := s.Hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	layers := []Layer{layerOf(t, ctx, s, "a", "a"), layerOf(t, ctx, s, "b", "b"), layerOf(t, ctx, s, "c", "c")}
	lost := errors.New("lost")
	_, err = s.Unpack(ctx, layers, UnpackHooks{Ready: func(ctx context.Context, i int) error {
		if i == 1 {
			return lost
		}
		return nil
	}})
	if !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	release()
	if err := s.CollectNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestUnpackTheSameAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, release, err := s.Hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	layers := []Layer{layerOf(t, ctx, s, "a", "a"), layerOf(t, ctx, s, "b", "b"), layerOf(t, ctx, s, "c", "c")}
	results := make([]string, 8)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() {
			key, err := s.Unpack(ctx, layers, UnpackHooks{})
			if err != nil {
				t.Error(err)
			}
			results[i] = key
		})
	}
	all.Wait()
	for _, key := range results {
		if key != results[0] {
			t.Errorf("keys %v", results)
		}
	}
	if got := keys(t, s); len(got) != len(layers) {
		t.Errorf("snapshots %v", got)
	}
}

func TestLowerPins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx, release, err := s.Hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Unpack(ctx, []Layer{layerOf(t, ctx, s, "a", "a"), layerOf(t, ctx, s, "b", "b")}, UnpackHooks{})
	if err != nil {
		t.Fatal(err)
	}
	dirs, first, err := s.Lower(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	again, second, err := s.Lower(ctx, key)
	if err != nil || !reflect.DeepEqual(again, dirs) {
		t.Fatalf("%v and %v, %v", dirs, again, err)
	}
	release() // from here on only the users hold the layers
	there := func(when string, want bool) {
		t.Helper()
		if err := s.CollectNow(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dirs[0], "d/b")); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", when, err, want)
		}
	}
	there("with two users", true)
	first()
	first() // a second time counts for nothing
	there("with one user", true)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	reopened, third, err := s.Lower(context.Background(), key)
	if err != nil || !reflect.DeepEqual(reopened, dirs) {
		t.Fatalf("after opening again: %v, %v", reopened, err)
	}
	third()
	there("while others of an earlier process may use it", true)
	s.Settle()
	there("without users", false)
	second() // of the store that was closed
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, _, err := s.Lower(context.Background(), key); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("what is gone: %v", err)
	}
}

func TestLowerOfNothing(t *testing.T) {
	s := open(t, t.TempDir())
	dirs, release, err := s.Lower(context.Background(), "")
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v, %v", dirs, err)
	}
	defer release()
	if files, err := os.ReadDir(dirs[0]); err != nil || len(files) > 0 {
		t.Errorf("an image without layers has %v, %v", files, err)
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened a second time: %v", err)
	}
}

func TestHoldEndsWithTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx, _, err := s.Hold(context.Background()) // is never released
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Unpack(ctx, []Layer{layerOf(t, ctx, s, "a", "a")}, UnpackHooks{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if err := s.CollectNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	open(b, dir).Close()
	for b.Loop() {
		s, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkLower(b *testing.B) {
	s := open(b, b.TempDir())
	ctx, release, err := s.Hold(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	key, err := s.Unpack(ctx, []Layer{layerOf(b, ctx, s, "a", "a"), layerOf(b, ctx, s, "b", "b")}, UnpackHooks{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, done, err := s.Lower(ctx, key)
		if err != nil {
			b.Fatal(err)
		}
		done()
	}
}
