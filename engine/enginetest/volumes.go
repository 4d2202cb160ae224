package enginetest

import (
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

func bind(spec string) option {
	return host(func(h *container.HostConfig) { h.Binds = append(h.Binds, spec) })
}

var volumeCases = []testCase{
	{"what is in a volume outlives its containers", func(f *fixture) {
		v := f.volume()
		id := f.run(sh("echo kept > /v/file"), bind(v+":/v"))
		f.wait(id, "")
		f.remove(id)
		if code, out := f.runToEnd(command("cat", "/v/file"), bind(v+":/v")); code != 0 || out != "kept\n" {
			f.Errorf("exit code %d, %q", code, out)
		}
	}},
	{"an empty volume gets what the image has there, once", func(f *fixture) {
		v := f.volume()
		if _, out := f.runToEnd(sh("cat /data/seed; rm /data/seed; touch /data/other"), bind(v+":/data")); out != "seed\n" {
			f.Errorf("at first %q", out)
		}
		if _, out := f.runToEnd(command("ls", "/data"), bind(v+":/data")); out != "other\n" {
			f.Errorf("then %q", out)
		}
	}},
	{"it keeps its owner", func(f *fixture) {
		v := f.volume()
		code, out := f.runToEnd(sh("cat /data/seed && touch /data/mine && echo written"), bind(v+":/data"),
			config(func(c *container.Config) { c.User = "user" }))
		if code != 0 || out != "seed\nwritten\n" {
			f.Errorf("exit code %d, %q", code, out)
		}
	}},
	{"nothing is copied with nocopy", func(f *fixture) {
		v := f.volume()
		if _, out := f.runToEnd(command("ls", "/data"), host(func(h *container.HostConfig) {
			h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: v, Target: "/data", VolumeOptions: &mount.VolumeOptions{NoCopy: true}}}
		})); out != "" {
			f.Errorf("got %q", out)
		}
	}},
	{"a volume is shared", func(f *fixture) {
		v := f.volume()
		writer, reader := f.run(bind(v+":/v")), f.run(bind(v+":/v:ro"))
		f.exec(writer, "echo news > /v/file")
		if r := f.exec(reader, "cat /v/file"); r.stdout != "news\n" {
			f.Errorf("the reader got %v", r)
		}
		if r := f.exec(reader, "touch /v/other"); r.code == 0 {
			f.Error("a read-only volume was written")
		}
	}},
	{"a bind mount is the host's directory", func(f *fixture) {
		dir := f.TempDir()
		f.must(os.WriteFile(filepath.Join(dir, "from-host"), []byte("h\n"), 0o644))
		if _, out := f.runToEnd(sh("cat /b/from-host; echo c > /b/from-container"), bind(dir+":/b")); out != "h\n" {
			f.Errorf("the container got %q", out)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "from-container")); err != nil || string(got) != "c\n" {
			f.Errorf("the host got %q, %v", got, err)
		}
	}},
	{"a tmpfs is empty and goes with the run", func(f *fixture) {
		id := f.run(sh("ls /data; touch /data/file"), host(func(h *container.HostConfig) { h.Tmpfs = map[string]string{"/data": ""} }))
		f.wait(id, "")
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if out := f.output(id); out != "" {
			f.Errorf("got %q", out)
		}
	}},
	{"volumes from another container", func(f *fixture) {
		v := f.volume()
		owner := f.run(sh("echo shared > /v/file; echo ready; sleep 1000"), bind(v+":/v"))
		f.awaitOutput(owner, "ready")
		if _, out := f.runToEnd(command("cat", "/v/file"), host(func(h *container.HostConfig) { h.VolumesFrom = []string{owner} })); out != "shared\n" {
			f.Errorf("got %q", out)
		}
	}},
	{"a volume in use is not removed", func(f *fixture) {
		v := f.volume()
		id := f.create(bind(v + ":/v"))
		f.wantKind("remove", f.VolumeRemove(f.ctx, v, false), engine.ErrConflict)
		f.remove(id)
		f.must(f.VolumeRemove(f.ctx, v, false))
		_, err := f.VolumeInspect(f.ctx, v)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"a volume that is named is made", func(f *fixture) {
		v := f.name("v")
		id := f.create(bind(v + ":/v"))
		_, err := f.VolumeInspect(f.ctx, v)
		f.must(err)
		f.remove(id) // with its anonymous volumes only
		f.must(f.VolumeRemove(f.ctx, v, false))
	}},
	{"anonymous volumes go with their container if that is asked for", func(f *fixture) {
		id := f.create(config(func(c *container.Config) { c.Volumes = map[string]struct{}{"/a": {}} }))
		v := f.inspect(id).Mounts[0].Name
		_, err := f.VolumeInspect(f.ctx, v)
		f.must(err)
		f.must(f.ContainerRemove(f.ctx, id, container.RemoveOptions{RemoveVolumes: true}))
		_, err = f.VolumeInspect(f.ctx, v)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"making what is there returns it", func(f *fixture) {
		v := f.volume()
		first, err := f.VolumeInspect(f.ctx, v)
		f.must(err)
		again, err := f.VolumeCreate(f.ctx, volume.CreateOptions{Name: v})
		f.must(err)
		if again.Name != v || again.CreatedAt != first.CreatedAt || again.Driver != "local" || again.Labels["enginetest"] != f.prefix {
			f.Errorf("got %+v, want %+v", again, first)
		}
	}},
}
