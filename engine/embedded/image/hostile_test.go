package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// TestHostileLayers loads layers that try to reach files outside of their directory.
func TestHostileLayers(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 20)
	for _, tc := range []struct {
		name  string
		files []file
	}{
		{"a path with dots", []file{{name: up + victim, body: "hit"}}},
		{"an absolute path", []file{{name: victim, body: "hit"}}},
		{"a symbolic link as a directory", []file{{name: "d", link: outside, typ: tar.TypeSymlink}, {name: "d/victim", body: "hit"}}},
		{"a chain of links", []file{{name: "a", link: up, typ: tar.TypeSymlink}, {name: "a" + victim, body: "hit"}}},
		{"a link over the file", []file{{name: "f", link: victim, typ: tar.TypeSymlink}, {name: "f", body: "hit"}}},
		{"a hard link out of it", []file{{name: "h", link: up + victim, typ: tar.TypeLink}, {name: "h", body: "hit"}}},
		{"a hard link through a symbolic link", []file{{name: "d", link: outside, typ: tar.TypeSymlink}, {name: "h", link: "d/victim", typ: tar.TypeLink}}},
		{"a whiteout of a file outside", []file{{name: "d", link: outside, typ: tar.TypeSymlink}, {name: "d/.wh.victim"}}},
		{"a whiteout of the parent", []file{{name: "d/"}, {name: "d/.wh.."}}},
		{"a mode for a file outside", []file{{name: "d", link: outside, typ: tar.TypeSymlink, mode: 0o777}, {name: "d/victim", link: "/x", typ: tar.TypeSymlink}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for position, layers := range map[string][][]byte{
				"alone":  {tarOf(t, tc.files...)},
				"on top": {small(t), tarOf(t, tc.files...)},
			} {
				s, _ := open(t)
				// Whether it is refused or confined does not matter.
				_, err := s.Load(context.Background(), bytes.NewReader(dockerArchive(t, "bad", layers...)), nil)
				got, readErr := os.ReadFile(victim)
				info, statErr := os.Lstat(victim)
				if readErr != nil || statErr != nil || string(got) != "untouched" || info.Mode().Perm() != 0o644 {
					t.Fatalf("%s: the file outside is %q, %v (load: %v)", position, got, readErr, err)
				}
			}
		})
	}
}

func TestLayersCannotSteerOverlayfs(t *testing.T) {
	s, sn := open(t)
	bad := map[string]string{"trusted.overlay.redirect": "/etc", "trusted.overlay.opaque": "y", "user.overlay.opaque": "y", "user.fine": "yes"}
	layer := tarOf(t, file{name: "d/", xattrs: bad})
	if _, err := s.Load(context.Background(), bytes.NewReader(dockerArchive(t, "bad", small(t), layer)), nil); err != nil {
		t.Fatal(err)
	}
	img, err := s.Resolve(context.Background(), "bad")
	if err != nil {
		t.Fatal(err)
	}
	dirs, release, err := sn.Lower(context.Background(), img.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	value := make([]byte, 16)
	for name := range bad {
		_, err := unix.Lgetxattr(filepath.Join(dirs[0], "d"), name, value)
		if got := err == nil; got != (name == "user.fine") {
			t.Errorf("attribute %s is there: %v (%v)", name, got, err)
		}
	}
}

func TestImplicitDirectoriesTakeAfterTheLayerBelow(t *testing.T) {
	s, sn := open(t)
	below := tarOf(t, file{name: "tmp/", mode: 0o1777}, file{name: "home/", uid: 1000, mode: 0o700})
	above := tarOf(t, file{name: "tmp/x", body: "x"}, file{name: "home/y", body: "y"})
	if _, err := s.Load(context.Background(), bytes.NewReader(dockerArchive(t, "app", below, above)), nil); err != nil {
		t.Fatal(err)
	}
	img, err := s.Resolve(context.Background(), "app")
	if err != nil {
		t.Fatal(err)
	}
	dirs, release, err := sn.Lower(context.Background(), img.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dirs[0], "tmp"), &st); err != nil || st.Mode&0o7777 != 0o1777 {
		t.Errorf("tmp has mode %o, %v", st.Mode&0o7777, err)
	}
	if err := unix.Stat(filepath.Join(dirs[0], "home"), &st); err != nil || st.Mode&0o7777 != 0o700 || st.Uid != 1000 {
		t.Errorf("home has mode %o and owner %d, %v", st.Mode&0o7777, st.Uid, err)
	}
}

func TestWrongDiffID(t *testing.T) {
	s, sn := open(t)
	archive := dockerArchiveOf(t, "bad", configFor(t, []byte("something else")), small(t))
	_, err := s.Load(context.Background(), bytes.NewReader(archive), nil)
	if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), "is not what the image says") {
		t.Errorf("a layer with another digest: %v", err)
	}
	if err := sn.CollectNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := inventory(t, sn); len(left) > 0 {
		t.Errorf("left by a refused image: %v", left)
	}
}

func TestBrokenArchives(t *testing.T) {
	layer := small(t)
	config := configFor(t, layer)
	for name, data := range map[string][]byte{
		"nothing":                 {},
		"not an archive":          bytes.Repeat([]byte("no"), 1000),
		"no manifest":             tarOf(t, file{name: "x", body: "x"}),
		"a missing layer":         tarOf(t, file{name: "c", body: string(config)}, file{name: "manifest.json", body: `[{"Config":"c","Layers":["l"]}]`}),
		"a configuration outside": tarOf(t, file{name: "manifest.json", body: `[{"Config":"../../../../etc/passwd","Layers":[]}]`}),
		"too many layers named":   dockerArchiveOf(t, "bad", config, layer, layer),
		"another system":          dockerArchiveOf(t, "bad", []byte(`{"os":"windows","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`)),
		"a name that is an ID":    dockerArchive(t, "sha256:"+strings.Repeat("a", 64), layer),
		"a broken configuration":  dockerArchiveOf(t, "bad", []byte("{"), layer),
		"a cut archive":           dockerArchive(t, "bad", layer)[:3000],
	} {
		s, sn := open(t)
		refs, err := s.Load(context.Background(), bytes.NewReader(data), nil)
		if err == nil {
			t.Errorf("%s: loaded %v", name, refs)
			continue
		}
		if !errors.Is(err, engine.ErrInvalid) && !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("%s: of no kind: %v", name, err)
		}
		if !strings.HasPrefix(err.Error(), "cannot load images: ") {
			t.Errorf("%s: %v", name, err)
		}
		if err := sn.CollectNow(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := inventory(t, sn); len(left) > 0 {
			t.Errorf("%s: left: %v", name, left)
		}
	}
}

// TestImageLabelsStayInTheImage loads an image whose labels and annotations look like orders to the store.
func TestImageLabelsStayInTheImage(t *testing.T) {
	s, sn := open(t)
	orders := map[string]string{
		"containerd.io/gc.root": "now", "containerd.io/gc.ref.content.0": "sha256:0", "containerd.io/gc.expire": "2000-01-01T00:00:00Z",
		"containerd.io/snapshot/uidmapping": "0:1:1", "containerd.io/snapshot.ref": "x", labelID: "sha256:0", labelSize: "1",
	}
	archive := ociArchive(t, "app:1", orders, small(t))
	if _, err := s.Load(context.Background(), bytes.NewReader(archive), nil); err != nil {
		t.Fatal(err)
	}
	ctx := sn.Context(context.Background())
	check := func(what string, labels map[string]string, allowed ...string) {
		for key, value := range labels {
			if orders[key] == value && value != "" {
				t.Errorf("%s has the label %s=%s", what, key, value)
			}
		}
	}
	records, err := sn.Images().List(ctx)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	check("the record", records[0].Labels)
	if err := sn.Content().Walk(ctx, func(i content.Info) error { check(i.Digest.String(), i.Labels); return nil }); err != nil {
		t.Fatal(err)
	}
	err = sn.Snapshotter().Walk(ctx, func(_ context.Context, i snapshots.Info) error { check(i.Name, i.Labels); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Inspect(ctx, "app:1"); err != nil || got.Config.Labels["containerd.io/gc.root"] != "now" {
		t.Errorf("the image itself has lost its labels: %v, %v", got.Config, err)
	}
}

// ociArchive is an OCI layout of one image with the labels everywhere that labels and annotations can be.
func ociArchive(t *testing.T, name string, labels map[string]string, layers ...[]byte) []byte {
	t.Helper()
	var cfg ocispec.Image
	if err := json.Unmarshal(configFor(t, layers...), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Config.Labels = labels
	files := []file{{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}}
	blob := func(mediaType string, v any) ocispec.Descriptor {
		data, ok := v.([]byte)
		if !ok {
			var err error
			if data, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		d := digest.FromBytes(data)
		files = append(files, file{name: "blobs/sha256/" + d.Encoded(), body: string(data)})
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data)), Annotations: labels}
	}
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Annotations: labels, Config: blob(ocispec.MediaTypeImageConfig, cfg)}
	manifest.SchemaVersion = 2
	for _, l := range layers {
		manifest.Layers = append(manifest.Layers, blob(ocispec.MediaTypeImageLayer, l))
	}
	desc := blob(manifest.MediaType, manifest)
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	for k, v := range labels {
		desc.Annotations[k] = v
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{desc}}
	index.SchemaVersion = 2
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, append(files, file{name: "index.json", body: string(data)})...)
}

// TestFullDisk unpacks a layer that is small when compressed on a disk that is small.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=320m"); err != nil {
		t.Skipf("needs a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		// containerd's test for fs-verity leaves a file open until the next run of Go's garbage collector.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	sn, err := snapshot.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	s := New(sn)
	importSmall(t, s, "before")
	read, write := io.Pipe()
	go func() {
		z := gzip.NewWriter(write)
		w := tar.NewWriter(z)
		const size = 1 << 30
		w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: size, Mode: 0o644})
		_, err := io.CopyN(w, zeros{}, size)
		write.CloseWithError(errors.Join(err, w.Close(), z.Close()))
	}()
	_, err = s.Import(context.Background(), read, "bomb", image.ImportOptions{})
	read.Close()
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "cannot import bomb: only ") {
		t.Errorf("a layer of 1 GiB on a disk of 320 MiB: %v", err)
	}
	if _, err := s.Resolve(context.Background(), "before"); err != nil {
		t.Error(err)
	}
	if err := sn.CollectNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := len(inventory(t, sn)); left != 8 {
		t.Errorf("%d things are left: %v", left, inventory(t, sn))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fakeRegistry answers with what it was given, true or not.
type fakeRegistry struct {
	manifests map[string][]byte // by tag or digest
	digests   map[string]string // the digest that it claims, by tag
	blobs     map[string][]byte
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, isManifest := strings.Cut(r.URL.Path, "/manifests/")
	data, ok := f.manifests[name]
	if !isManifest {
		_, name, _ = strings.Cut(r.URL.Path, "/blobs/")
		data, ok = f.blobs[name]
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
	if claim := f.digests[name]; claim != "" {
		w.Header().Set("Docker-Content-Digest", claim)
	} else {
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(data).String())
	}
	w.Write(data)
}

func TestLyingRegistries(t *testing.T) {
	layer := small(t)
	config := configFor(t, layer)
	manifestOf := func(change func(*ocispec.Manifest)) []byte {
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
		m.SchemaVersion = 2
		m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
		m.Layers = []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer))}}
		if change != nil {
			change(&m)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := manifestOf(nil)
	for _, tc := range []struct {
		name     string
		manifest []byte
		claim    string // the digest that the registry claims for the tag
		layer    []byte
		want     string
	}{
		{name: "the truth", manifest: good, layer: layer},
		{name: "another layer", manifest: good, layer: append([]byte("x"), layer[1:]...), want: "the registry answers sha256:"},
		{name: "a longer layer", manifest: good, layer: append(layer[:len(layer):len(layer)], 0), want: "bytes but"},
		{name: "a shorter layer", manifest: good, layer: layer[:100], want: "cannot pull"},
		{name: "another manifest", manifest: good, claim: digest.FromString("x").String(), layer: layer, want: "cannot pull"},
		{name: "an invalid digest", manifest: good, claim: "sha256:../../../etc/passwd", layer: layer, want: "cannot pull"},
		{name: "an invalid layer digest", manifest: manifestOf(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../x" }), layer: layer, want: "invalid digest"},
		{name: "a layer of negative size", manifest: manifestOf(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }), layer: layer, want: "cannot pull"},
		{name: "a layer more", manifest: manifestOf(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), layer: layer, want: "is broken: 2 layers, described are 1"},
		{name: "a huge configuration", manifest: manifestOf(func(m *ocispec.Manifest) { m.Config.Size = 1 << 40 }), layer: layer, want: "where at most"},
		{name: "not an image", manifest: manifestOf(func(m *ocispec.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" }), layer: layer, want: "is not an image"},
		{name: "a manifest and an index at once", manifest: append(good[:len(good)-1:len(good)-1], `,"manifests":[{"digest":"sha256:0"}]}`...), layer: layer, want: "a manifest and an index at once"},
		{name: "a manifest as large as a disk", manifest: append(good[:len(good)-1:len(good)-1], `,"x":"`+strings.Repeat("x", 5<<20)+`"}`...), layer: layer, want: "cannot pull"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fake := &fakeRegistry{
				manifests: map[string][]byte{"1": tc.manifest, digest.FromBytes(tc.manifest).String(): tc.manifest},
				digests:   map[string]string{"1": tc.claim},
				blobs:     map[string][]byte{digest.FromBytes(config).String(): config, digest.FromBytes(layer).String(): tc.layer},
			}
			if tc.claim != "" {
				fake.manifests[tc.claim], fake.digests[tc.claim] = tc.manifest, tc.claim
			}
			server := httptest.NewServer(fake)
			defer server.Close()
			s, sn := open(t)
			ref := strings.TrimPrefix(server.URL, "http://") + "/app:1"
			err := s.Pull(context.Background(), ref, image.PullOptions{}, nil)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if err := sn.CollectNow(context.Background()); err != nil {
				t.Fatal(err)
			}
			if left := inventory(t, sn); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
