package enginetest

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

var archiveCases = []testCase{
	{"into and out of a running container", func(f *fixture) {
		id := f.run()
		f.must(f.CopyTo(f.ctx, id, "/tmp", tarOf(f, map[string]string{"a": "1\n", "d/b": "2\n"}), container.CopyToContainerOptions{}))
		if r := f.exec(id, "cat /tmp/a /tmp/d/b"); r.stdout != "1\n2\n" {
			f.Errorf("in the container: %v", r)
		}
		f.exec(id, "echo 3 > /tmp/d/c")
		if got := f.copyFrom(id, "/tmp/d"); got["d/b"] != "2\n" || got["d/c"] != "3\n" || len(got) != 2 {
			f.Errorf("copied out: %v", got)
		}
	}},
	{"into and out of a container that does not run", func(f *fixture) {
		id := f.create(command("cat", "/tmp/a"))
		f.must(f.CopyTo(f.ctx, id, "/tmp", tarOf(f, map[string]string{"a": "1\n"}), container.CopyToContainerOptions{}))
		if got := f.copyFrom(id, "/tmp/a"); got["a"] != "1\n" {
			f.Errorf("copied out: %v", got)
		}
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "1\n" {
			f.Errorf("the container saw %q", out)
		}
	}},
	{"volumes are seen", func(f *fixture) {
		v := f.volume()
		id := f.run(bind(v + ":/v"))
		f.must(f.CopyTo(f.ctx, id, "/v", tarOf(f, map[string]string{"a": "1\n"}), container.CopyToContainerOptions{}))
		if _, out := f.runToEnd(command("cat", "/v/a"), bind(v+":/v")); out != "1\n" {
			f.Errorf("in the volume: %q", out)
		}
	}},
	{"stat", func(f *fixture) {
		id := f.create()
		file, err := f.StatPath(f.ctx, id, "/data/seed")
		f.must(err)
		if file.Name != "seed" || file.Size != 5 || !file.Mode.IsRegular() || file.Mode.Perm() != 0o640 {
			f.Errorf("file: %+v", file)
		}
		dir, err := f.StatPath(f.ctx, id, "/data")
		f.must(err)
		if dir.Name != "data" || !dir.Mode.IsDir() {
			f.Errorf("directory: %+v", dir)
		}
	}},
	{"symbolic links do not lead out", func(f *fixture) {
		outside := filepath.Join(f.TempDir(), "outside")
		f.must(os.WriteFile(outside, []byte("secret"), 0o644))
		id := f.run()
		f.exec(id, "ln -s /../../../../../.."+outside+" /tmp/file; ln -s /../../../../../.."+filepath.Dir(outside)+" /tmp/dir")
		if content, _, err := f.CopyFrom(f.ctx, id, "/tmp/dir/outside"); err == nil {
			content.Close()
			f.Error("a file of the host was read through a link to a directory")
		}
		if err := f.CopyTo(f.ctx, id, "/tmp/dir", tarOf(f, map[string]string{"planted": "x"}), container.CopyToContainerOptions{}); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(outside), "planted")); err == nil {
				f.Error("a file was written to the host")
			}
		}
		for name := range f.copyFrom(id, "/tmp/file") {
			f.Errorf("the link was followed to %s", name)
		}
	}},
	{"symbolic links in a circle are an error", func(f *fixture) {
		id := f.run()
		f.exec(id, "ln -s circle /tmp/circle")
		if s, err := f.StatPath(f.ctx, id, "/tmp/circle/file"); err == nil {
			f.Errorf("got %+v", s)
		}
	}},
	{"an archive does not lead out", func(f *fixture) {
		id := f.create()
		var evil bytes.Buffer
		w := tar.NewWriter(&evil)
		writeTar(f, w, &tar.Header{Name: "../../../../../../tmp/" + f.prefix, Mode: 0o644, Size: 1, Typeflag: tar.TypeReg}, []byte("x"))
		f.must(w.Close())
		_ = f.CopyTo(f.ctx, id, "/tmp", &evil, container.CopyToContainerOptions{}) // refused, or kept inside
		if _, err := os.Stat("/tmp/" + f.prefix); err == nil {
			f.Error("a file was written to the host")
		}
	}},
	{"what is not there", func(f *fixture) {
		id := f.create()
		_, err := f.StatPath(f.ctx, id, "/none")
		f.wantKind("stat", err, engine.ErrNotFound)
		_, _, err = f.CopyFrom(f.ctx, id, "/none")
		f.wantKind("copy from", err, engine.ErrNotFound)
		f.wantKind("copy to", f.CopyTo(f.ctx, id, "/none", tarOf(f, nil), container.CopyToContainerOptions{}), engine.ErrNotFound)
	}},
}

// copyFrom copies out of a container and returns the regular files.
func (f *fixture) copyFrom(id, path string) map[string]string {
	f.Helper()
	content, _, err := f.CopyFrom(f.ctx, id, path)
	f.must(err)
	defer content.Close()
	files, err := untar(content)
	f.must(err)
	return files
}
