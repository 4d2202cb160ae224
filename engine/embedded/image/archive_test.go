package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// configFor is the configuration of an image of the layers.
func configFor(t *testing.T, layers ...[]byte) []byte {
	t.Helper()
	cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	cfg.RootFS.Type = "layers"
	for _, l := range layers {
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, digest.FromBytes(l))
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// dockerArchive is what docker save wrote before it wrote OCI layouts.
func dockerArchive(t *testing.T, name string, layers ...[]byte) []byte {
	t.Helper()
	return dockerArchiveOf(t, name, configFor(t, layers...), layers...)
}

func dockerArchiveOf(t *testing.T, name string, config []byte, layers ...[]byte) []byte {
	t.Helper()
	files := []file{{name: "config.json", body: string(config)}}
	var paths []string
	for i, l := range layers {
		path := strings.Repeat(string(rune('a'+i)), 64) + "/layer.tar"
		paths = append(paths, path)
		files = append(files, file{name: path, body: string(l)})
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": paths}})
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, append(files, file{name: "manifest.json", body: string(manifest)})...)
}

// filesOf reads all files of an image as a container would see them.
func filesOf(t *testing.T, s *Store, sn *snapshot.Store, ref string) map[string]string {
	t.Helper()
	img, err := s.Resolve(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	dirs, release, err := sn.Lower(context.Background(), img.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	files := map[string]string{}
	hidden := map[string]bool{}
	for _, dir := range dirs { // the topmost first
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			if _, seen := files[name]; seen || hidden[name] {
				return nil
			}
			switch {
			case d.Type()&fs.ModeCharDevice != 0:
				hidden[name] = true
			case d.Type().IsRegular():
				data, err := os.ReadFile(path)
				files[name] = string(data)
				return err
			case d.Type()&fs.ModeSymlink != 0:
				target, err := os.Readlink(path)
				files[name] = "-> " + target
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestLoadOfCompressedArchives(t *testing.T) {
	plain := dockerArchive(t, "app:1", small(t))
	var gz, zs bytes.Buffer
	gw := gzip.NewWriter(&gz)
	gw.Write(plain)
	gw.Close()
	zw, _ := zstd.NewWriter(&zs)
	zw.Write(plain)
	zw.Close()
	for name, data := range map[string][]byte{"plain": plain, "gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		t.Run(name, func(t *testing.T) {
			s, sn := open(t)
			var out said
			refs, err := s.Load(context.Background(), bytes.NewReader(data), out.report)
			if err != nil || len(refs) != 1 || refs[0] != "app:1" {
				t.Fatalf("loaded %v, %v", refs, err)
			}
			if files := filesOf(t, s, sn, "app:1"); files["etc/hostname"] != "small\n" {
				t.Errorf("the files are %v", files)
			}
		})
	}
}

func TestSaveAndLoad(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	twoLayers(t, s, "two:1")
	if err := s.Tag(ctx, "two:1", "other/name:2"); err != nil {
		t.Fatal(err)
	}
	id := importSmall(t, s, "")
	archive, err := s.Save(ctx, []string{"two:1", "other/name:2", id})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(archive)
	if err != nil || archive.Close() != nil {
		t.Fatal(err)
	}
	other, sn := open(t)
	refs, err := other.Load(ctx, bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"two:1", "other/name:2", id} {
		want, _ := s.Resolve(ctx, ref)
		if got, err := other.Resolve(ctx, ref); err != nil || got.ID != want.ID {
			t.Errorf("%s is %s, want %s; %v (loaded %v)", ref, got.ID, want.ID, err, refs)
		}
	}
	if files := filesOf(t, other, sn, "two:1"); files["srv/page"] == "" || files["etc/hostname"] != "" {
		t.Errorf("the files are %v", files)
	}
	if _, err := s.Save(ctx, []string{"two:1", "gone"}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("saving what is not there: %v", err)
	}
	half, err := s.Save(ctx, []string{"two:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Close(); err != nil { // without having read it
		t.Error(err)
	}
}

// TestSkopeo exchanges images with another implementation, over archives and over a registry.
func TestSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo")
	}
	addr := startRegistry(t, "")
	ctx := context.Background()
	dir := t.TempDir()
	copyImage := func(from, to string) {
		t.Helper()
		cmd := exec.Command(skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("skopeo copy %s %s: %v\n%s", from, to, err, out)
		}
	}
	s, _ := open(t)
	twoLayers(t, s, addr+"/app:1")
	want, err := s.Inspect(ctx, addr+"/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(ctx, addr+"/app:1", pushPlain, nil); err != nil {
		t.Fatal(err)
	}
	copyImage("docker://"+addr+"/app:1", "oci-archive:"+dir+"/oci.tar:app:2")
	copyImage("docker://"+addr+"/app:1", "docker-archive:"+dir+"/docker.tar:app:3")
	copyImage("oci-archive:"+dir+"/oci.tar", "docker://"+addr+"/app:4")
	for ref, load := range map[string]func(*Store) error{
		"app:2": loadFile(ctx, dir+"/oci.tar"),
		"app:3": loadFile(ctx, dir+"/docker.tar"),
		addr + "/app:4": func(s *Store) error {
			return s.Pull(ctx, addr+"/app:4", pullPlain, nil)
		},
	} {
		other, sn := open(t)
		if err := load(other); err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		got, err := other.Inspect(ctx, ref)
		if err != nil {
			list, _ := other.List(ctx, listAll)
			t.Errorf("%s: %v; there are %+v", ref, err, list)
			continue
		}
		if strings.Join(got.RootFS.Layers, " ") != strings.Join(want.RootFS.Layers, " ") {
			t.Errorf("%s has the layers %v, want %v", ref, got.RootFS.Layers, want.RootFS.Layers)
		}
		if files := filesOf(t, other, sn, ref); files["srv/page"] == "" || files["etc/hostname"] != "" {
			t.Errorf("%s has the files %v", ref, files)
		}
	}
	saved, err := s.Save(ctx, []string{addr + "/app:1"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(saved)
	if err != nil || saved.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/saved.tar", data, 0o600); err != nil {
		t.Fatal(err)
	}
	copyImage("docker-archive:"+dir+"/saved.tar", "docker://"+addr+"/app:5")
	copyImage("oci-archive:"+dir+"/saved.tar", "docker://"+addr+"/app:6")
}

func loadFile(ctx context.Context, path string) func(*Store) error {
	return func(s *Store) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = s.Load(ctx, f, nil)
		return err
	}
}
