package enginetest

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// inRegistry tags an image of the case's own for the registry. It has no other name.
func (f *fixture) inRegistry() (ref, id string) {
	f.Helper()
	if f.Registry == "" {
		f.Skip("the subject has no registry")
	}
	ref = f.Registry + "/" + f.prefix + ":v1"
	id, err := f.ImageImport(f.ctx, tarOf(f, map[string]string{"file": f.prefix}), ref, image.ImportOptions{Changes: []string{"ENV A=" + f.prefix}})
	f.must(err)
	f.removeImageAfter(ref)
	return ref, id
}

var registryCases = []testCase{
	{"push and pull", func(f *fixture) {
		ref, id := f.inRegistry()
		f.must(f.ImagePush(f.ctx, ref, image.PushOptions{}, nil))
		_, err := f.ImageRemove(f.ctx, ref, image.RemoveOptions{})
		f.must(err)
		_, err = f.ImageInspect(f.ctx, ref)
		f.wantKind("inspect", err, engine.ErrNotFound)

		var messages int
		f.must(f.ImagePull(f.ctx, ref, image.PullOptions{}, func(jsonmessage.JSONMessage) { messages++ }))
		if messages == 0 {
			f.Error("no progress was reported")
		}
		i, err := f.ImageInspect(f.ctx, ref)
		f.must(err)
		if i.ID != id || !slices.Contains(i.Config.Env, "A="+f.prefix) || !slices.Contains(i.RepoTags, ref) {
			f.Errorf("pulled %s named %v with %v; pushed %s", i.ID, i.RepoTags, i.Config.Env, id)
		}
		f.must(f.ImagePull(f.ctx, ref, image.PullOptions{}, nil)) // what is there already
	}},
	{"an image that the registry does not have", func(f *fixture) {
		ref, _ := f.inRegistry()
		f.wantKind("pull", f.ImagePull(f.ctx, ref+"-none", image.PullOptions{}, nil), engine.ErrNotFound)
	}},
	{"look up without pulling", func(f *fixture) {
		ref, _ := f.inRegistry()
		_, err := f.DistributionInspect(f.ctx, ref, "")
		f.wantKind("look up what was not pushed", err, engine.ErrNotFound)
		f.must(f.ImagePush(f.ctx, ref, image.PushOptions{}, nil))
		i, err := f.ImageInspect(f.ctx, ref)
		f.must(err)
		_, err = f.ImageRemove(f.ctx, ref, image.RemoveOptions{})
		f.must(err)

		d, err := f.DistributionInspect(f.ctx, ref, "")
		f.must(err)
		if err := d.Descriptor.Digest.Validate(); err != nil || d.Descriptor.MediaType == "" || d.Descriptor.Size <= 0 {
			f.Errorf("descriptor is %+v: %v", d.Descriptor, err)
		}
		if len(d.Platforms) != 1 || d.Platforms[0].OS != i.Os || d.Platforms[0].Architecture != i.Architecture {
			f.Errorf("platforms are %v, want %s/%s", d.Platforms, i.Os, i.Architecture)
		}
		for _, pushed := range i.RepoDigests {
			if _, dgst, _ := strings.Cut(pushed, "@"); dgst != d.Descriptor.Digest.String() {
				f.Errorf("digest is %s, pushed was %s", d.Descriptor.Digest, pushed)
			}
		}
		_, err = f.ImageInspect(f.ctx, ref)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"an image that is not here cannot be pushed", func(f *fixture) {
		ref, _ := f.inRegistry()
		f.wantKind("push", f.ImagePush(f.ctx, ref+"-none", image.PushOptions{}, nil), engine.ErrNotFound)
	}},
	{"a registry that does not answer", func(f *fixture) {
		f.inRegistry()
		err := f.ImagePull(f.ctx, "127.0.0.1:1/none:v1", image.PullOptions{}, nil)
		f.wantKind("pull", err, engine.ErrUnavailable)
		_, err = f.DistributionInspect(f.ctx, "127.0.0.1:1/none:v1", "")
		f.wantKind("look up", err, engine.ErrUnavailable)
	}},
}
