package container

import (
	"errors"
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
)

func noContainers(ref string) (Record, error) {
	return Record{}, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
}

func TestPlanMounts(t *testing.T) {
	private := mount.PropagationRPrivate
	for _, test := range []struct {
		name string
		cfg  container.Config
		host container.HostConfig
		want []Mount
	}{
		{"a bind is made if missing", container.Config{}, container.HostConfig{Binds: []string{"/src:/dst"}},
			[]Mount{{Type: "bind", Source: "/src", Destination: "/dst", CreateSource: true, Propagation: private}}},
		{"options", container.Config{}, container.HostConfig{Binds: []string{"/src/../x:/dst/:ro,rslave"}},
			[]Mount{{Type: "bind", Source: "/x", Destination: "/dst", CreateSource: true, ReadOnly: true, Mode: "ro,rslave", Propagation: "rslave"}}},
		{"a named volume", container.Config{}, container.HostConfig{Binds: []string{"data:/dst:nocopy"}},
			[]Mount{{Type: "volume", Name: "data", Destination: "/dst", NoCopy: true, Mode: "nocopy"}}},
		{"an anonymous volume", container.Config{Volumes: map[string]struct{}{"/dst": {}}}, container.HostConfig{},
			[]Mount{{Type: "volume", Destination: "/dst", Anonymous: true}}},
		{"a bind replaces the image's volume", container.Config{Volumes: map[string]struct{}{"/dst/": {}}}, container.HostConfig{Binds: []string{"data:/dst"}},
			[]Mount{{Type: "volume", Name: "data", Destination: "/dst"}}},
		{"a tmpfs replaces the image's volume", container.Config{Volumes: map[string]struct{}{"/dst": {}}}, container.HostConfig{Tmpfs: map[string]string{"/dst/": ""}}, []Mount{}},
		{"a bind that must exist", container.Config{}, container.HostConfig{Mounts: []mount.Mount{{Type: "bind", Source: "/src", Target: "/dst", ReadOnly: true}}},
			[]Mount{{Type: "bind", Source: "/src", Destination: "/dst", ReadOnly: true, Propagation: private}}},
		{"a part of a volume", container.Config{}, container.HostConfig{Mounts: []mount.Mount{{Type: "volume", Source: "data", Target: "/dst", VolumeOptions: &mount.VolumeOptions{Subpath: "a/b", NoCopy: true}}}},
			[]Mount{{Type: "volume", Name: "data", Destination: "/dst", Subpath: "a/b", NoCopy: true, VolumeOptions: &mount.VolumeOptions{Subpath: "a/b", NoCopy: true}}}},
		{"sorted by destination", container.Config{}, container.HostConfig{Binds: []string{"b:/b", "a:/a", "ab:/a/b"}},
			[]Mount{{Type: "volume", Name: "a", Destination: "/a"}, {Type: "volume", Name: "ab", Destination: "/a/b"}, {Type: "volume", Name: "b", Destination: "/b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := PlanMounts(&test.cfg, &test.host, noContainers)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestPlanMountsInherits(t *testing.T) {
	other := Record{ID: "other", Mounts: []Mount{
		{Type: "volume", Name: "anon", Destination: "/a", Anonymous: true},
		{Type: "bind", Source: "/src", Destination: "/b"},
		{Type: "tmpfs", Destination: "/t"},
	}}
	find := func(string) (Record, error) { return other, nil }
	got, err := PlanMounts(&container.Config{}, &container.HostConfig{VolumesFrom: []string{"other:ro"}, Binds: []string{"mine:/b"}}, find)
	if err != nil {
		t.Fatal(err)
	}
	want := []Mount{{Type: "volume", Name: "anon", Destination: "/a", ReadOnly: true, InheritedFrom: "other"}, {Type: "volume", Name: "mine", Destination: "/b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestPlanMountsRefuses(t *testing.T) {
	for _, test := range []struct {
		host container.HostConfig
		kind error
	}{
		{container.HostConfig{Binds: []string{"a:/x", "b:/x/"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{"a:x"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{"./a:/x"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{"a:/"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{"a:/x:sometimes"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{":/x"}}, engine.ErrInvalid},
		{container.HostConfig{Binds: []string{"a:b:c:d"}}, engine.ErrInvalid},
		{container.HostConfig{VolumesFrom: []string{"gone"}}, engine.ErrNotFound},
		{container.HostConfig{Mounts: []mount.Mount{{Type: "bind", Source: "rel", Target: "/x"}}}, engine.ErrInvalid},
		{container.HostConfig{Mounts: []mount.Mount{{Type: "tmpfs", Source: "/a", Target: "/x"}}}, engine.ErrInvalid},
		{container.HostConfig{Mounts: []mount.Mount{{Type: "cloud", Target: "/x"}}}, engine.ErrInvalid},
		{container.HostConfig{Mounts: []mount.Mount{{Type: "image", Source: "i", Target: "/x"}}}, engine.ErrUnsupported},
	} {
		if got, err := PlanMounts(&container.Config{}, &test.host, noContainers); !errors.Is(err, test.kind) {
			t.Errorf("%+v gave %+v, %v", test.host, got, err)
		}
	}
}
