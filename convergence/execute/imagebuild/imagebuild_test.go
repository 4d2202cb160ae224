package imagebuild

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

func TestParseCache(t *testing.T) {
	for text, want := range map[string]string{
		"example.org/app:cache":                          "registry ref=example.org/app:cache",
		"type=registry,ref=example.org/app":              "registry ref=example.org/app",
		"type=local,src=/c":                              "local src=/c",
		`type=local,"dest=/a,b",mode=max`:                "local dest=/a,b mode=max",
		"type=inline":                                    "inline",
		"src=/c":                                         "error: cannot read the cache \"src=/c\": it has no type",
		"type=local,whatever":                            "error: cannot read the cache \"type=local,whatever\": \"whatever\" is not key=value",
		"type=gha,url=https://example.org/?a=b,scope=me": "gha scope=me url=https://example.org/?a=b",
	} {
		entry, err := parseCache(text)
		got := []string{entry.Type}
		for _, k := range slices.Sorted(maps.Keys(entry.Attrs)) {
			got = append(got, k+"="+entry.Attrs[k])
		}
		if err != nil {
			got = []string{"error:", err.Error()}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", text, strings.Join(got, " "), want)
		}
	}
}

// An engine without BuildKit gets the tar.
type old struct{ got build.ImageBuildOptions }

func (o *old) BuildKit(context.Context) (net.Conn, error) {
	return nil, engine.Errorf(engine.ErrUnsupported, "it has none")
}

func (o *old) ImageBuild(_ context.Context, tar io.Reader, opts build.ImageBuildOptions, _ engine.Progress) (string, error) {
	o.got = opts
	_, err := io.Copy(io.Discard, tar)
	return "sha256:made", err
}

func someBuild(t *testing.T) *desired.Build {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Other"), []byte("FROM x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &desired.Build{Service: "web", Context: dir, Dockerfile: "Other", Options: build.ImageBuildOptions{Tags: []string{"x"}}}
}

func TestWithoutBuildKit(t *testing.T) {
	e := &old{}
	b := someBuild(t)
	id, err := Build(t.Context(), e, b, Options{})
	if err != nil || id != "sha256:made" || e.got.Dockerfile != "Other" {
		t.Errorf("%s, %v, Dockerfile %q", id, err, e.got.Dockerfile)
	}
	b.Kit.Secrets = []desired.BuildSecret{{ID: "a"}}
	b.Kit.CacheTo = []string{"type=inline"}
	_, err = Build(t.Context(), e, b, Options{})
	if !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), "secrets, cache_to can only be done with an engine's BuildKit") {
		t.Errorf("error: %v", err)
	}
}

// What is to be built, in BuildKit's words.
func TestPrepare(t *testing.T) {
	t.Setenv("FROM_HOST", "here")
	b := someBuild(t)
	b.Options.BuildArgs = map[string]*string{"FROM_HOST": nil, "NOWHERE": nil}
	b.Options.NetworkMode = "host"
	b.Kit = desired.BuildKit{
		Contexts:      map[string]string{"dir": b.Context, "image": "docker-image://x"},
		NoCacheFilter: []string{"one", "two"}, CacheTo: []string{"type=inline"}, Entitlements: []string{"security.insecure"},
	}
	s := &solve{build: b}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"filename": "Other", "build-arg:FROM_HOST": "here", "build-arg:NOWHERE": "", "context:dir": "local:dir", "context:image": "docker-image://x", "no-cache": "one,two",
	} {
		if got := s.opt.FrontendAttrs[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if mounts := slices.Sorted(maps.Keys(s.opt.LocalMounts)); !slices.Equal(mounts, []string{"context", "dir", "dockerfile"}) {
		t.Errorf("mounts %v", mounts)
	}
	if !slices.Equal(s.opt.AllowedEntitlements, []string{"security.insecure", "network.host"}) || s.opt.CacheExports[0].Type != "inline" {
		t.Errorf("entitlements %v, caches %v", s.opt.AllowedEntitlements, s.opt.CacheExports)
	}
}

// A Dockerfile may be in the project's file, outside the context, or in a remote one.
func TestWhereTheDockerfileIs(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(b *desired.Build)
		filename string
		mounts   string
		context  string
	}{
		"inline":  {func(b *desired.Build) { b.Inline, b.Dockerfile = "FROM y", "" }, "Dockerfile", "context dockerfile", ""},
		"outside": {func(b *desired.Build) { b.Dockerfile = filepath.Join(t.TempDir(), "Far") }, "Far", "context dockerfile", ""},
		"remote":  {func(b *desired.Build) { b.Context, b.Dockerfile = "https://example.org/a.git", "" }, "Dockerfile", "", "https://example.org/a.git"},
		"remote, and here": {func(b *desired.Build) {
			b.Dockerfile, b.Context = filepath.Join(b.Context, "Other"), "https://example.org/a.git"
		}, "Other", "dockerfile", "https://example.org/a.git"},
	} {
		t.Run(name, func(t *testing.T) {
			b := someBuild(t)
			c.change(b)
			s := &solve{build: b}
			if err := s.prepare(); err != nil {
				t.Fatal(err)
			}
			for _, dir := range s.remove {
				defer os.RemoveAll(dir)
			}
			attrs := s.opt.FrontendAttrs
			if mounts := strings.Join(slices.Sorted(maps.Keys(s.opt.LocalMounts)), " "); attrs["filename"] != c.filename || mounts != c.mounts || attrs["context"] != c.context {
				t.Errorf("filename %q, mounts %q, context %q", attrs["filename"], mounts, attrs["context"])
			}
		})
	}
}
