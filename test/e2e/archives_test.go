package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// entry is one of an archive.
type entry struct {
	tar.Header
	body string
}

func link(name, to string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}}
}

func file(name, body string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body: body}
}

func folder(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// image imports an image of busybox and the entries.
func (h *host) image(name string, entries ...entry) error {
	h.t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		h.t.Fatal(err)
	}
	all := []entry{folder("bin/"), file("bin/busybox", string(program)), link("bin/sh", "busybox")}
	all[1].Mode = 0o755
	path := filepath.Join(h.dir, "image.tar")
	if err := os.WriteFile(path, archive(h.t, append(all, entries...)...), 0o600); err != nil {
		h.t.Fatal(err)
	}
	_, err = h.try(h.dir, "image", "import", path, name)
	return err
}

// TestHostileArchives: what is imported or loaded stays in its place, or is refused.
func TestHostileArchives(t *testing.T) {
	h, left := newFortress(t)
	out := h.outside()
	up := "../../../../../../../../../../../.." + out
	device := entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "disk", Mode: 0o666, Devmajor: int64(unix.Major(rootDevice(t))), Devminor: int64(unix.Minor(rootDevice(t)))}}
	hard := func(name, to string) entry {
		return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}}
	}
	huge := entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "huge", Mode: 0o644}}
	for i, c := range []struct {
		name    string
		entries []entry
	}{
		{"path that climbs", []entry{file(up+"/new", "x")}},
		{"absolute path", []entry{file(out+"/new", "x")}},
		{"through an absolute link", []entry{link("l", out), file("l/new", "x")}},
		{"through a relative link", []entry{link("l", up), file("l/new", "x")}},
		{"through a link in a folder", []entry{folder("d/"), link("d/l", up), file("d/l/new", "x"), folder("d/l/newer/")}},
		{"folder in place of a link", []entry{link("l", out), folder("l/"), file("l/new", "x")}},
		{"link in place of a folder", []entry{folder("l/"), link("l", out), file("l/new", "x")}},
		{"hard link outwards", []entry{hard("secret", up+"/secret")}},
		{"absolute hard link", []entry{hard("secret", out+"/secret")}},
		{"hard link through a link", []entry{link("l", up), hard("secret", "l/secret")}},
		{"file over a hard link", []entry{link("l", up), hard("s", "l/secret"), file("s", "x")}},
		{"removal outwards", []entry{link("l", up), file("l/.wh.secret", "")}},
		{"removal of all outwards", []entry{link("l", up), file("l/.wh..wh..opq", "")}},
		{"removal that climbs", []entry{file(".wh...", ""), file("x/.wh...", "")}},
		{"device", []entry{device}},
		{"nothing", []entry{huge}},
	} {
		name := fmt.Sprintf("hostile/archive%d", i)
		err := h.image(name, c.entries...)
		untouched(t, out, c.name)
		if err != nil {
			t.Logf("%s is refused: %v", c.name, err)
			continue
		}
		dir := h.write("archive", map[string]string{"compose.yaml": "services: {web: {image: " + name + ", command: \"busybox cat /secret /l/secret /disk\"}}\n"})
		if printed, _ := h.try(dir, "run", "--rm", "-T", "web"); printed != "" {
			t.Errorf("%s: the container reads %q", c.name, printed[:min(len(printed), 64)])
		}
		left.note()
		untouched(t, out, c.name)
		h.stack(dir, "down", "-t", "0")
	}
}

// TestHostileLoads: archives of docker save whose manifest names what is not theirs, or that are not what they say.
func TestHostileLoads(t *testing.T) {
	h, _ := newFortress(t)
	out := h.outside()
	up := "../../../../../../../../../../../.." + out
	config := func(diff string) string {
		return `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:` + diff + `"]}}`
	}
	layer := string(archive(t, file("x", "x")))
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(layer)))
	other := strings.Repeat("0", 64)
	manifest := func(config, layer string) entry {
		return file("manifest.json", fmt.Sprintf(`[{"Config":%q,"RepoTags":["hostile/load:1"],"Layers":[%q]}]`, config, layer))
	}
	truncated := archive(t, manifest("c.json", "layer.tar"), file("c.json", config(sum)), file("layer.tar", layer))
	for _, c := range []struct {
		name    string
		archive []byte
	}{
		{"layer that climbs", archive(t, manifest("c.json", up+"/secret"), file("c.json", config(sum)))},
		{"layer of the host", archive(t, manifest("c.json", out+"/secret"), file("c.json", config(sum)))},
		{"layer that is a link", archive(t, manifest("c.json", "layer.tar"), file("c.json", config(sum)), link("layer.tar", out+"/secret"))},
		{"configuration that climbs", archive(t, manifest(up+"/secret", "layer.tar"), file("layer.tar", layer))},
		{"configuration that is a link", archive(t, manifest("c.json", "layer.tar"), link("c.json", out+"/secret"), file("layer.tar", layer))},
		{"manifest that is a link", archive(t, link("manifest.json", out+"/secret"))},
		{"layer of another digest", archive(t, manifest("c.json", "layer.tar"), file("c.json", config(other)), file("layer.tar", layer))},
		{"digest that is a path", archive(t, manifest("c.json", "layer.tar"), file("c.json", config("../../../x")), file("layer.tar", layer))},
		{"fewer layers than it says", archive(t, file("manifest.json", `[{"Config":"c.json","RepoTags":["hostile/load:1"],"Layers":[]}]`), file("c.json", config(sum)))},
		{"truncated", truncated[:len(truncated)-2000]},
		{"no archive", []byte("the host's\n")},
		{"OCI digest that is a path", archive(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json",
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../..`+out+`/secret","size":11,"annotations":{"org.opencontainers.image.ref.name":"hostile/load:1"}}]}`))},
		{"OCI blob of another digest", archive(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json",
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+other+`","size":2,"annotations":{"io.containerd.image.name":"docker.io/hostile/load:1"}}]}`), file("blobs/sha256/"+other, "{}"))},
	} {
		path := filepath.Join(h.dir, "load.tar")
		if err := os.WriteFile(path, c.archive, 0o600); err != nil {
			t.Fatal(err)
		}
		printed, err := h.try(h.dir, "image", "load", "-i", path)
		if err == nil {
			t.Errorf("%s: it is loaded: %q", c.name, printed)
		} else if strings.Contains(err.Error(), "the host's") {
			t.Errorf("%s: the message tells what is in a file of the host: %v", c.name, err)
		} else {
			t.Logf("%s is refused: %v", c.name, err)
		}
		if _, err := h.try(h.dir, "image", "inspect", "hostile/load:1"); err == nil {
			t.Errorf("%s: there is an image now", c.name)
		}
		untouched(t, out, c.name)
	}
}
