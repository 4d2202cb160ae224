package enginetest

import (
	"io"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// mountedCases: the files of a container that does not run are those that it would see if it ran, with what is mounted in them.
var mountedCases = []testCase{
	{"a link into a volume", func(f *fixture) {
		v := f.volume()
		id := f.create(command("cat", "/v/a", "/v/b", "/v/c"), bind(v+":/v"))
		f.must(f.copyTo(id, "/tmp", f.syncTar([]synced{link("l", "/v")})))
		f.must(f.copyTo(id, "/tmp/l", tarOf(f, map[string]string{"a": "1"})))
		f.must(f.copyTo(id, "/tmp", tarOf(f, map[string]string{"l/b": "2"})))
		f.sync(id, nil, regular("/tmp/l/c", "3"))
		f.wantMounted(id)
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "123" {
			f.Errorf("the container saw %q", out)
		}
		f.wantMounted(id)
	}},
	{"links out of a volume", func(f *fixture) {
		v, w := f.volume(), f.volume()
		id := f.create(command("cat", "/etc/a", "/w/b"), bind(v+":/v"), bind(w+":/w"))
		f.runToEnd(sh("ln -s /etc /v/etc; ln -s ../w /v/w"), bind(v+":/v"))
		f.must(f.copyTo(id, "/v/etc", tarOf(f, map[string]string{"a": "1"})))
		f.sync(id, nil, regular("/v/w/b", "2"))
		f.wantText(id, "/w/b", "2")
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "12" {
			f.Errorf("the container saw %q", out)
		}
	}},
	{"links in a volume do not lead to the host", func(f *fixture) {
		v, outside := f.volume(), f.TempDir()
		f.must(os.WriteFile(filepath.Join(outside, "file"), []byte("secret"), 0o644))
		id := f.create(bind(v + ":/v"))
		f.runToEnd(sh("ln -s "+outside+" /v/abs; ln -s ../../../../../../../.."+outside+" /v/up"), bind(v+":/v"))
		for _, name := range []string{"/v/abs", "/v/up"} {
			if content, _, err := f.CopyFrom(f.ctx, id, name+"/file"); err == nil {
				content.Close()
				f.Errorf("%s: a file of the host was read", name)
			}
			_ = f.copyTo(id, name, tarOf(f, map[string]string{"planted": "x"}))
			_ = f.copyTo(id, "/v", tarOf(f, map[string]string{filepath.Base(name) + "/planted": "x"}))
			_ = f.trySync(id, []string{name + "/file"}, regular(name+"/planted", "x"))
		}
		if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
			f.Errorf("on the host: %v, %v", entries, err)
		}
	}},
	{"what is mounted is copied out, too", func(f *fixture) {
		v := f.volume()
		id := f.create(bind(v + ":/app/v"))
		f.sync(id, nil, regular("/app/a", "1"), regular("/app/v/b", "2"))
		if got := f.copyFrom(id, "/app"); got["app/a"] != "1" || got["app/v/b"] != "2" || len(got) != 2 {
			f.Errorf("copied out: %v", got)
		}
	}},
	{"a volume has what the image has there", func(f *fixture) {
		v := f.volume()
		id := f.create(command("cat", "/data/seed", "/data/more"), bind(v+":/data"))
		f.must(f.copyTo(id, "/data", tarOf(f, map[string]string{"more": "more\n"})))
		if got := f.copyFrom(id, "/data"); got["data/seed"] != "seed\n" || got["data/more"] != "more\n" {
			f.Errorf("copied out: %v", got)
		}
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "seed\nmore\n" {
			f.Errorf("the container saw %q", out)
		}
	}},
	{"a volume that is mounted read-only takes nothing", func(f *fixture) {
		v := f.volume()
		id := f.create(bind(v + ":/v:ro"))
		f.must(f.copyTo(id, "/tmp", f.syncTar([]synced{link("l", "/v")})))
		for _, name := range []string{"/v", "/tmp/l"} {
			f.wantKind(name, f.copyTo(id, name, tarOf(f, map[string]string{"a": "1"})), engine.ErrForbidden)
		}
		if got := f.copyFrom(id, "/v"); len(got) > 0 {
			f.Errorf("copied out: %v", got)
		}
	}},
}

func (f *fixture) copyTo(id, dir string, content io.Reader) error {
	return f.CopyTo(f.ctx, id, dir, content, container.CopyToContainerOptions{})
}

// wantMounted checks what a link at /tmp/l makes of the volume at /v.
func (f *fixture) wantMounted(id string) {
	f.Helper()
	for name, text := range map[string]string{"/tmp/l/a": "1", "/tmp/l/b": "2", "/v/c": "3"} {
		f.wantText(id, name, text)
	}
	if stat, err := f.StatPath(f.ctx, id, "/tmp/l"); err != nil || stat.LinkTarget != "/v" {
		f.Errorf("the link: %+v, %v", stat, err)
	}
}
