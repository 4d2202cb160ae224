package build

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// bench is an image store with a base image and a builder over it.
type bench struct {
	t       testing.TB
	root    string
	sn      *snapshot.Store
	images  *image.Store
	runner  *testRunner
	builder *Builder
}

func newBench(t testing.TB) *bench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/bin/busybox"); err != nil {
		t.Skip("needs /bin/busybox, statically linked")
	}
	b := &bench{t: t, root: t.TempDir(), runner: &testRunner{}}
	b.open()
	t.Cleanup(b.close)
	if _, err := b.images.Import(context.Background(), bytes.NewReader(busybox(t)), "busybox", dockerimage.ImportOptions{Changes: []string{"ENV PATH=/bin"}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) open() {
	b.t.Helper()
	sn, err := snapshot.Open(filepath.Join(b.root, "images"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.sn, b.images = sn, image.New(sn)
	b.builder = New(Options{Root: filepath.Join(b.root, "build"), Snapshots: sn, Images: b.images, Runner: b.runner})
}

func (b *bench) close() {
	if err := b.builder.Close(); err != nil {
		b.t.Error(err)
	}
	if err := b.sn.Close(); err != nil {
		b.t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		b.t.Error(err)
	}
	for line := range strings.SplitSeq(string(mounts), "\n") {
		if strings.Contains(line, b.root) {
			b.t.Errorf("left mounted: %s", line)
		}
	}
}

// busybox is the archive of a root file system with one program under many names.
func busybox(t testing.TB) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(hdr tar.Header, body []byte) {
		hdr.ModTime, hdr.Size = time.Unix(1700000000, 0), int64(len(body))
		if err := w.WriteHeader(&hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "root/", "usr/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program)
	for _, name := range strings.Fields("sh cat echo ls mkdir rm touch true false sleep test stat hostname head seq id mount grep env pwd find sed wc cp mv ln readlink chmod") {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// contextOf makes a build context of names and contents; "name -> target" is a symbolic link.
func contextOf(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, body := range files {
		hdr := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(1700000000, 0), Uid: 1000}
		if link, target, ok := strings.Cut(name, " -> "); ok {
			hdr.Name, hdr.Linkname, hdr.Typeflag = link, target, tar.TypeSymlink
		}
		if err := w.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// log collects progress.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) report(m jsonmessage.JSONMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(m.Stream)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// build builds and returns the ID and what was printed.
func (b *bench) build(opts build.ImageBuildOptions, files map[string]string) (string, string, error) {
	b.t.Helper()
	var out log
	id, err := b.builder.Build(context.Background(), contextOf(b.t, files), opts, out.report)
	return id, out.String(), err
}

// mustBuild builds and returns the root file system of the result as a merged view, and what was printed.
func (b *bench) mustBuild(opts build.ImageBuildOptions, files map[string]string) (view, string) {
	b.t.Helper()
	id, out, err := b.build(opts, files)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	return b.view(id), out
}

// view reads an image's files.
type view struct {
	t    testing.TB
	id   string
	img  image.Image
	dirs []string
}

func (b *bench) view(ref string) view {
	b.t.Helper()
	img, err := b.images.Resolve(context.Background(), ref)
	if err != nil {
		b.t.Fatal(err)
	}
	dirs, release, err := b.sn.Lower(context.Background(), img.Snapshot)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(release)
	return view{b.t, img.ID, img, dirs}
}

// read returns a file's content, "-" if there is none.
func (v view) read(name string) string {
	v.t.Helper()
	_, file, err := lookup(v.dirs, name)
	if os.IsNotExist(err) {
		return "-"
	}
	if err != nil {
		v.t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(data)
}
