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
	for _, want := range []string{"RUN echo hello world", " content\n", "exporting to image", " DONE "} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if got := v.read("/etc/resolv.conf"); got != "-" {
		t.Errorf("a mount point became part of the image: /etc/resolv.conf is %q", got)
	}
}

var features = []struct {
	name       string
	dockerfile string
	files      map[string]string
	opts       build.ImageBuildOptions
	want       map[string]string // path in the image: content, "-" for none
}{
	{
		name:       "several stages",
		dockerfile: "FROM busybox AS a\nRUN echo one > /one && mkdir /d && echo two > /d/two\nFROM busybox\nCOPY --from=a /one /d/two /got/\n",
		want:       map[string]string{"/got/one": "one\n", "/got/two": "two\n", "/one": "-"},
	},
	{
		name:       "a target",
		dockerfile: "FROM busybox AS a\nRUN echo a > /a\nFROM a AS b\nRUN false\n",
		opts:       build.ImageBuildOptions{Target: "a"},
		want:       map[string]string{"/a": "a\n"},
	},
	{
		name:       "heredocs",
		dockerfile: "FROM busybox\nRUN <<EOF\necho 1 > /x\necho 2 >> /x\nEOF\nCOPY <<EOF /y\nhello\nEOF\n",
		want:       map[string]string{"/x": "1\n2\n", "/y": "hello\n"},
	},
	{
		name:       "a bind mount of a file and of a directory",
		dockerfile: "FROM busybox\nRUN --mount=type=bind,source=in/f,target=/m/f --mount=type=bind,target=/ctx cat /m/f /ctx/g > /out\n",
		files:      map[string]string{"in/f": "f\n", "g": "g\n"},
		want:       map[string]string{"/out": "f\ng\n", "/m/f": "-", "/ctx": "-"},
	},
	{
		name: "bind mounts of a stage with several layers",
		dockerfile: "FROM busybox AS a\nRUN mkdir /d && echo 1 > /d/1 && ln -s d /link\nRUN echo 2 > /d/2 && rm /d/1 && echo 3 > /d/1\n" +
			"FROM busybox\nRUN --mount=type=bind,from=a,source=/link,target=/m --mount=type=bind,from=a,source=/d/1,target=/one cat /m/1 /m/2 /one > /out\n",
		want: map[string]string{"/out": "3\n2\n3\n"},
	},
	{
		name:       "a tmpfs",
		dockerfile: "FROM busybox\nRUN --mount=type=tmpfs,target=/scratch echo x > /scratch/x && cat /scratch/x > /out\n",
		want:       map[string]string{"/out": "x\n", "/scratch/x": "-"},
	},
	{
		name:       "ignored files",
		dockerfile: "FROM busybox\nCOPY . /all\n",
		files:      map[string]string{".dockerignore": "secret\n*.log\n!keep.log\n", "secret": "s", "a.log": "a", "keep.log": "k", "dir/b": "b"},
		want:       map[string]string{"/all/secret": "-", "/all/a.log": "-", "/all/keep.log": "k", "/all/dir/b": "b"},
	},
	{
		name:       "a Dockerfile elsewhere with its own ignore file",
		dockerfile: "-",
		opts:       build.ImageBuildOptions{Dockerfile: "docker/Dockerfile.prod"},
		files:      map[string]string{"docker/Dockerfile.prod": "FROM busybox\nCOPY . /all\n", "docker/Dockerfile.prod.dockerignore": "x\n", "x": "x", "y": "y"},
		want:       map[string]string{"/all/x": "-", "/all/y": "y"},
	},
	{
		name:       "a symbolic link of the context that leads out of it",
		dockerfile: "FROM busybox\nCOPY . /all\nCOPY --from=busybox /etc/passwd /p\n",
		files:      map[string]string{"out -> /etc/hostname": "", "f": "f"},
		want:       map[string]string{"/all/f": "f", "/p": "root:x:0:0:root:/root:/bin/sh\n"},
	},
	{
		name:       "nothing to begin with",
		dockerfile: "FROM scratch\nCOPY f /f\n",
		files:      map[string]string{"f": "f"},
		want:       map[string]string{"/f": "f"},
	},
	{
		name:       "configuration only",
		dockerfile: "FROM busybox\nENV A=b\n",
		want:       map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"},
	},
	{
		name:       "the frontend's own directive",
		dockerfile: "# syntax=docker/dockerfile:1\nFROM busybox\nRUN echo ok > /ok\n",
		want:       map[string]string{"/ok": "ok\n"},
	},
	{
		name:       "extra hosts and no network",
		dockerfile: "FROM busybox\nRUN grep -c 10.1.2.3 /etc/hosts > /hosts\n",
		opts:       build.ImageBuildOptions{ExtraHosts: []string{"db:10.1.2.3"}, NetworkMode: "none"},
		want:       map[string]string{"/hosts": "1\n"},
	},
	{
		name:       "a deleted file",
		dockerfile: "FROM busybox\nRUN echo x > /x\nRUN rm /x /etc/passwd\n",
		want:       map[string]string{"/x": "-", "/etc/passwd": "-"},
	},
	{
		name:       "an optional secret that is not there",
		dockerfile: "FROM busybox\nRUN --mount=type=secret,id=s test ! -e /run/secrets/s && echo none > /out\n",
		want:       map[string]string{"/out": "none\n"},
	},
}

func TestDockerfileFeatures(t *testing.T) {
	b := newBench(t)
	for _, tc := range features {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			files := map[string]string{}
			if tc.dockerfile != "-" {
				files["Dockerfile"] = tc.dockerfile
			}
			for name, body := range tc.files {
				files[name] = body
			}
			v, _ := b.mustBuild(tc.opts, files)
			for name, want := range tc.want {
				if got := v.read(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if mode := tc.opts.NetworkMode; mode != "" && string(b.runner.last().Network) != mode {
				t.Errorf("the step's network is %q, want %q", b.runner.last().Network, mode)
			}
		})
	}
}

func TestCacheMountKeepsItsFiles(t *testing.T) {
	b := newBench(t)
	dockerfile := "FROM busybox\nARG N\nRUN --mount=type=cache,target=/cache echo $N >> /cache/seen && cat /cache/seen > /out\n"
	b.mustBuild(build.ImageBuildOptions{BuildArgs: map[string]*string{"N": ptr("1")}}, map[string]string{"Dockerfile": dockerfile})
	v, _ := b.mustBuild(build.ImageBuildOptions{BuildArgs: map[string]*string{"N": ptr("2")}}, map[string]string{"Dockerfile": dockerfile})
	if got := v.read("/out"); got != "1\n2\n" {
		t.Errorf("the second step saw %q", got)
	}
}

func TestCache(t *testing.T) {
	b := newBench(t)
	files := map[string]string{"Dockerfile": "FROM busybox\nCOPY a /a\nRUN cat /a > /b\nCOPY c /c\n", "a": "1", "c": "1"}
	first, _ := b.mustBuild(build.ImageBuildOptions{Tags: []string{"app"}}, files)
	steps := b.runner.count()

	again, out := b.mustBuild(build.ImageBuildOptions{Tags: []string{"app"}}, files)
	if again.id != first.id || b.runner.count() != steps || !strings.Contains(out, " CACHED") {
		t.Errorf("the same build again: %s instead of %s, %d steps more\n%s", again.id, first.id, b.runner.count()-steps, out)
	}

	files["c"] = "2"
	if v, _ := b.mustBuild(build.ImageBuildOptions{}, files); v.read("/c") != "2" || b.runner.count() != steps {
		t.Errorf("a changed last file: /c is %q, %d steps more", v.read("/c"), b.runner.count()-steps)
	}

	files["a"] = "2"
	if v, _ := b.mustBuild(build.ImageBuildOptions{}, files); v.read("/b") != "2" || b.runner.count() != steps+1 {
		t.Errorf("a changed first file: /b is %q, %d steps more", v.read("/b"), b.runner.count()-steps)
	}
	if b.mustBuild(build.ImageBuildOptions{NoCache: true}, files); b.runner.count() != steps+2 {
		t.Errorf("without the cache %d steps were run", b.runner.count()-steps-1)
	}
}

func TestBuildOnABuiltImageSharesItsLayers(t *testing.T) {
	b := newBench(t)
	base, _ := b.mustBuild(build.ImageBuildOptions{Tags: []string{"base"}}, map[string]string{"Dockerfile": "FROM busybox\nRUN echo base > /base\n"})
	v, _ := b.mustBuild(build.ImageBuildOptions{}, map[string]string{"Dockerfile": "FROM base\nRUN echo top > /top\n"})
	if v.read("/base") != "base\n" || v.read("/top") != "top\n" {
		t.Errorf("/base is %q, /top is %q", v.read("/base"), v.read("/top"))
	}
	if len(v.dirs) != 3 || !reflect.DeepEqual(v.dirs[1:], base.dirs) {
		t.Errorf("the layers %v are not on top of %v", v.dirs, base.dirs)
	}
}
