package enginetest

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

// tag gives the test image a further name that no other case uses.
func (f *fixture) tag() string {
	f.Helper()
	name := f.name("i") + ":v1"
	f.must(f.ImageTag(f.ctx, f.Image, name))
	f.removeImageAfter(name)
	return name
}

func (f *fixture) removeImageAfter(name string) {
	f.Cleanup(func() {
		// It may be gone; what else can go wrong is no matter of the case.
		_, _ = f.ImageRemove(f.TB.Context(), name, image.RemoveOptions{Force: true})
	})
}

var imageCases = []testCase{
	{"inspect tells the configuration", func(f *fixture) {
		i, err := f.ImageInspect(f.ctx, f.Image)
		f.must(err)
		if !strings.HasPrefix(i.ID, "sha256:") || !slices.Contains(i.RepoTags, f.Image) || i.Os != "linux" || i.Size == 0 {
			f.Errorf("got %+v", i)
		}
		if i.Config == nil || !slices.Equal(i.Config.Cmd, []string{"sh"}) || i.Config.Labels["enginetest.image"] != "1" ||
			!slices.Contains(i.Config.Env, "FROM_IMAGE=yes") || len(i.RootFS.Layers) != 1 {
			f.Errorf("config is %+v, root %+v", i.Config, i.RootFS)
		}
	}},
	{"an image is found by its ID and a prefix of it", func(f *fixture) {
		i, err := f.ImageInspect(f.ctx, f.Image)
		f.must(err)
		for _, ref := range []string{i.ID, strings.TrimPrefix(i.ID, "sha256:")[:12]} {
			if got, err := f.ImageInspect(f.ctx, ref); err != nil || got.ID != i.ID {
				f.Errorf("%s: image %s, error %v", ref, got.ID, err)
			}
		}
	}},
	{"history", func(f *fixture) {
		history, err := f.ImageHistory(f.ctx, f.Image)
		f.must(err)
		if len(history) == 0 || history[0].Created == 0 {
			f.Errorf("got %+v", history)
		}
	}},
	{"list by reference and label", func(f *fixture) {
		name := f.tag()
		for _, arg := range []filters.KeyValuePair{filters.Arg("reference", name), filters.Arg("reference", strings.TrimSuffix(name, ":v1"))} {
			list, err := f.ImageList(f.ctx, image.ListOptions{Filters: filters.NewArgs(arg)})
			f.must(err)
			if len(list) != 1 || !slices.Contains(list[0].RepoTags, name) {
				f.Errorf("reference %s: got %+v", arg.Value, list)
			}
		}
		list, err := f.ImageList(f.ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "enginetest.image=1"))})
		f.must(err)
		if len(list) == 0 {
			f.Error("by label: got none")
		}
	}},
	{"a name goes, the image stays while it has others", func(f *fixture) {
		name := f.tag()
		removed, err := f.ImageRemove(f.ctx, name, image.RemoveOptions{})
		f.must(err)
		if len(removed) != 1 || removed[0].Untagged != name {
			f.Errorf("got %+v", removed)
		}
		_, err = f.ImageInspect(f.ctx, name)
		f.wantKind("inspect", err, engine.ErrNotFound)
		_, err = f.ImageInspect(f.ctx, f.Image)
		f.must(err)
	}},
	{"import, use, and remove", func(f *fixture) {
		name := f.name("i") + ":v1"
		id, err := f.ImageImport(f.ctx, Rootfs(f), name, image.ImportOptions{Changes: []string{`CMD ["echo", "imported"]`, "ENV PATH=/bin"}})
		f.must(err)
		f.removeImageAfter(name)
		if i, err := f.ImageInspect(f.ctx, name); err != nil || i.ID != id {
			f.Errorf("it is %s, import returned %s, error %v", i.ID, id, err)
		}
		ctr := f.run(config(func(c *container.Config) { c.Image, c.Cmd = name, nil }))
		f.wait(ctr, "")
		if out := f.output(ctr); out != "imported\n" {
			f.Errorf("got %q", out)
		}
		_, err = f.ImageRemove(f.ctx, name, image.RemoveOptions{})
		f.wantKind("remove of an image in use", err, engine.ErrConflict)
		f.remove(ctr)
		removed, err := f.ImageRemove(f.ctx, name, image.RemoveOptions{})
		f.must(err)
		if !slices.ContainsFunc(removed, func(r image.DeleteResponse) bool { return r.Deleted == id }) {
			f.Errorf("removed %+v", removed)
		}
	}},
	{"save and load", func(f *fixture) {
		name := f.name("i") + ":v1"
		id, err := f.ImageImport(f.ctx, tarOf(f, map[string]string{"file": f.prefix}), name, image.ImportOptions{Changes: []string{"ENV A=" + f.prefix}})
		f.must(err)
		f.removeImageAfter(name)
		saved, err := f.ImageSave(f.ctx, []string{name})
		f.must(err)
		archive, err := io.ReadAll(saved)
		f.must(err)
		f.must(saved.Close())
		_, err = f.ImageRemove(f.ctx, name, image.RemoveOptions{})
		f.must(err)
		refs, err := f.ImageLoad(f.ctx, bytes.NewReader(archive), nil)
		f.must(err)
		if !slices.Equal(refs, []string{name}) {
			f.Errorf("load returned %v, want %s", refs, name)
		}
		i, err := f.ImageInspect(f.ctx, name)
		f.must(err)
		if i.ID != id || !slices.Contains(i.Config.Env, "A="+f.prefix) {
			f.Errorf("it is %s with %v, was %s", i.ID, i.Config.Env, id)
		}
	}},
}

// build builds from files, among them the Dockerfile.
func (f *fixture) build(files map[string]string, tag string, progress engine.Progress) (string, error) {
	f.removeImageAfter(tag)
	return f.ImageBuild(f.ctx, tarOf(f, files), build.ImageBuildOptions{Tags: []string{tag}, Dockerfile: "Dockerfile", Remove: true, ForceRemove: true}, progress)
}

var buildCases = []testCase{
	{"a small Dockerfile", func(f *fixture) {
		tag := f.name("i") + ":v1"
		id, err := f.build(map[string]string{
			"Dockerfile": "FROM " + f.Image + "\nENV GREETING=hello\nWORKDIR /srv\nCOPY file copied\nRUN echo $GREETING > made\nLABEL a=b\nCMD [\"cat\", \"made\", \"copied\"]\n",
			"file":       "from the context\n",
		}, tag, nil)
		f.must(err)
		i, err := f.ImageInspect(f.ctx, tag)
		f.must(err)
		if i.ID != id || i.Config.Labels["a"] != "b" || i.Config.WorkingDir != "/srv" {
			f.Errorf("built %s, inspect tells %s with %+v", id, i.ID, i.Config)
		}
		ctr := f.run(config(func(c *container.Config) { c.Image, c.Cmd = tag, nil }))
		f.wait(ctr, "")
		if out := f.output(ctr); out != "hello\nfrom the context\n" {
			f.Errorf("got %q", out)
		}
		f.remove(ctr)
	}},
	{"a failing step", func(f *fixture) {
		tag := f.name("i") + ":v1"
		_, err := f.build(map[string]string{"Dockerfile": "FROM " + f.Image + "\nRUN echo before; exit 37\n"}, tag, nil)
		f.wantKind("build", err, engine.ErrInvalid)
		if err != nil && (!strings.Contains(err.Error(), "37") || !strings.Contains(err.Error(), "exit 37")) {
			f.Errorf("the error tells neither step nor exit code: %v", err)
		}
		_, err = f.ImageInspect(f.ctx, tag)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"a Dockerfile that cannot be read", func(f *fixture) {
		_, err := f.build(map[string]string{"Dockerfile": "FROM " + f.Image + "\nNONSENSE\n"}, f.name("i"), nil)
		f.wantKind("build", err, engine.ErrInvalid)
	}},
}
