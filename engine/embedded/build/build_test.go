package build

import (
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
)

func ptr(s string) *string { return &s }

func TestBuild(t *testing.T) {
	b := newBench(t)
	v, out := b.mustBuild(build.ImageBuildOptions{
		Tags:      []string{"app:1", "registry.example/team/app"},
		BuildArgs: map[string]*string{"WHO": ptr("world")},
		Labels:    map[string]string{"a": "b"},
	}, map[string]string{
		"Dockerfile": "FROM busybox\nARG WHO\nWORKDIR /srv\nCOPY src/ ./\nRUN echo hello $WHO > greeting && cat file\nENV X=1\nUSER root\nEXPOSE 80\nCMD [\"cat\", \"greeting\"]\n",
		"src/file":   "content\n",
	})
	if got := v.read("/srv/greeting"); got != "hello world\n" {
		t.Errorf("the step wrote %q", got)
	}
	if got := v.read("/srv/file"); got != "content\n" {
		t.Errorf("the copy is %q", got)
	}
	c := v.img.Config.Config
	if !reflect.DeepEqual(c.Cmd, []string{"cat", "greeting"}) || c.WorkingDir != "/srv" || c.Labels["a"] != "b" || c.User != "root" {
		t.Errorf("configuration %+v", c)
	}
	if want := []string{"app:1", "registry.example/team/app:latest"}; !reflect.DeepEqual(v.img.RepoTags, want) {
		t.Errorf("tags %v, want %v", v.img.RepoTags, want)
	}
	for _, want := range []string{"RUN echo hello world", " content\n", "exporting to image", "Successfully built ", "Successfully tagged app:1\n", " DONE "} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if got := v.read("/etc/resolv.conf"); got != "-" {
		t.Errorf("a mount point became part of the image: /etc/resolv.conf is %q", got)
	}
}
