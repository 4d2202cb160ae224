package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/klauspost/compress/zstd"

	"stackrun.dev/stack/engine"
)

func TestImportAppliesChanges(t *testing.T) {
	s, sn := open(t)
	id := importSmall(t, s, "small", `CMD ["sh"]`, "ENV A=1 B=2", "ENV A=3", "EXPOSE 80 53/udp", "WORKDIR /srv", "WORKDIR sub",
		"LABEL x=y containerd.io/gc.root=now", "ENTRYPOINT run me", "USER app", "VOLUME /data", "STOPSIGNAL SIGINT", "HEALTHCHECK CMD true")
	img, err := s.Resolve(context.Background(), "small")
	if err != nil {
		t.Fatal(err)
	}
	if img.ID != id || !reflect.DeepEqual(img.RepoTags, []string{"small:latest"}) || img.Size == 0 {
		t.Errorf("got %s %v %d", img.ID, img.RepoTags, img.Size)
	}
	c := img.Config.Config
	for _, tc := range []struct{ name, got, want any }{
		{"Cmd", c.Cmd, []string{"sh"}},
		{"Env", c.Env, []string{"B=2", "A=3"}},
		{"ExposedPorts", c.ExposedPorts, map[string]struct{}{"80/tcp": {}, "53/udp": {}}},
		{"WorkingDir", c.WorkingDir, "/srv/sub"},
		{"Entrypoint", c.Entrypoint, []string{"/bin/sh", "-c", "run me"}},
		{"User", c.User, "app"},
		{"Volumes", c.Volumes, map[string]struct{}{"/data": {}}},
		{"StopSignal", c.StopSignal, "SIGINT"},
		{"Healthcheck", c.Healthcheck.Test, []string{"CMD-SHELL", "true"}},
		{"Label", c.Labels["x"], "y"},
	} {
		if !reflect.DeepEqual(tc.got, tc.want) {
			t.Errorf("%s is %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	dirs, release, err := sn.Lower(context.Background(), img.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(dirs) != 1 {
		t.Fatalf("the image of one layer has the directories %v", dirs)
	}
	if b, err := os.ReadFile(filepath.Join(dirs[0], "etc/hostname")); err != nil || string(b) != "small\n" {
		t.Errorf("etc/hostname is %q, %v", b, err)
	}
}

func TestImportOfCompressedArchives(t *testing.T) {
	s, _ := open(t)
	plain := small(t)
	archives := map[string][]byte{"plain": plain}
	var gz, zs bytes.Buffer
	gw := gzip.NewWriter(&gz)
	gw.Write(plain)
	gw.Close()
	archives["gzip"] = gz.Bytes()
	zw, _ := zstd.NewWriter(&zs)
	zw.Write(plain)
	zw.Close()
	archives["zstd"] = zs.Bytes()
	for _, program := range []string{"xz", "bzip2"} {
		if path, err := exec.LookPath(program); err == nil {
			cmd := exec.Command(path, "-c")
			cmd.Stdin = bytes.NewReader(plain)
			if archives[program], err = cmd.Output(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var layer string
	for name, data := range archives {
		if _, err := s.Import(context.Background(), bytes.NewReader(data), name, image.ImportOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := s.Inspect(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if layer == "" {
			layer = got.RootFS.Layers[0]
		}
		if got.RootFS.Layers[0] != layer {
			t.Errorf("%s: layer %s, want %s", name, got.RootFS.Layers[0], layer)
		}
		if bad, err := s.Import(context.Background(), bytes.NewReader(data[:len(data)*2/5+1]), "", image.ImportOptions{}); err == nil {
			t.Errorf("%s: half an archive became image %s", name, bad)
		}
	}
}

func TestImportRefusesNonsense(t *testing.T) {
	s, _ := open(t)
	for name, tc := range map[string]struct {
		body, ref string
		changes   []string
		want      string
	}{
		"not an archive": {body: strings.Repeat("no tar ", 200), ref: "x", want: "cannot import x"},
		"bad name":       {ref: "Upper/Case", want: "invalid image reference"},
		"digest as name": {ref: "x@sha256:" + strings.Repeat("a", 64), want: "cannot name an image"},
		"RUN":            {ref: "x", changes: []string{"RUN true"}, want: "more than the configuration"},
		"unknown change": {ref: "x", changes: []string{"FLY away"}, want: "cannot read the change"},
	} {
		_, err := s.Import(context.Background(), strings.NewReader(tc.body), tc.ref, image.ImportOptions{Changes: tc.changes})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, err := s.Import(context.Background(), strings.NewReader(""), "Upper", image.ImportOptions{}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("a bad name is %v, want ErrInvalid", err)
	}
}
