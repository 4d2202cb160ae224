package enginetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

// busybox is a statically linked Busybox (Debian's package busybox-static).
const busybox = "/bin/busybox"

// commands are the names that the suite runs Busybox by.
var commands = strings.Fields(`cat cp echo env false head hostname httpd id kill ls ln mkdir mv nc nslookup ping printf
	ps pwd readlink rm rmdir seq sh sleep stty tail test timeout touch true wget wc`)

// SeedOwner owns the files in /data of the test image.
const SeedOwner = 1000

// LongLine is the content of /long: more than any engine keeps in one log entry.
var LongLine = strings.Repeat("0123456789", 4000) + "\n"

// Rootfs is a tar of a small root file system: Busybox, /etc/passwd, the directory /data with the file "seed" that
// belongs to SeedOwner, and /long.
func Rootfs(t testing.TB) io.Reader {
	t.Helper()
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Skipf("needs %s (Debian's package busybox-static): %v", busybox, err)
	}
	files := []tar.Header{
		{Name: "bin/", Mode: 0o755},
		{Name: "etc/", Mode: 0o755},
		{Name: "tmp/", Mode: 0o1777},
		{Name: "root/", Mode: 0o700},
		{Name: "data/", Mode: 0o750, Uid: SeedOwner, Gid: SeedOwner},
		{Name: "data/seed", Mode: 0o640, Uid: SeedOwner, Gid: SeedOwner},
		{Name: "etc/passwd", Mode: 0o644},
		{Name: "etc/group", Mode: 0o644},
		{Name: "etc/plain", Mode: 0o644},
		{Name: "long", Mode: 0o644},
		{Name: "bin/busybox", Mode: 0o755},
	}
	content := map[string][]byte{
		"data/seed":   []byte("seed\n"),
		"etc/passwd":  []byte("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/data:/bin/sh\n"),
		"etc/group":   []byte("root:x:0:\nuser:x:1000:\n"),
		"etc/plain":   []byte("not a program\n"),
		"long":        []byte(LongLine),
		"bin/busybox": program,
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range files {
		h.Typeflag = tar.TypeReg
		if strings.HasSuffix(h.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		h.Size = int64(len(content[h.Name]))
		writeTar(t, w, &h, content[h.Name])
	}
	for _, name := range commands {
		writeTar(t, w, &tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func writeTar(t testing.TB, w *tar.Writer, h *tar.Header, content []byte) {
	t.Helper()
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
}

// ImportImage gives the engine the image that the suite works with and returns its name.
func ImportImage(t testing.TB, images engine.Images) string {
	t.Helper()
	const name = "enginetest/busybox:1"
	_, err := images.ImageImport(t.Context(), Rootfs(t), name, image.ImportOptions{
		Changes: []string{`ENV PATH=/bin`, `ENV FROM_IMAGE=yes`, `CMD ["sh"]`, `LABEL enginetest.image=1`},
	})
	if err != nil {
		t.Fatalf("cannot import the test image: %v", err)
	}
	return name
}

// tarOf makes an archive of regular files.
func tarOf(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range files {
		writeTar(t, w, &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(content))}, []byte(content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// untar reads an archive's regular files.
func untar(r io.Reader) (map[string]string, error) {
	files := map[string]string{}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the archive: %w", err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
		}
	}
}
