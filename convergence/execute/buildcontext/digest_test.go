package buildcontext

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"stackrun.dev/stack/convergence/desired"
)

// The digest changes with everything that a build would see, and with nothing else.
func TestDigest(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	write(at("Dockerfile"), "FROM scratch")
	write(at(".dockerignore"), "ignored")
	write(at("sub/file"), "1")
	write(filepath.Join(other, "file"), "1")
	b := &desired.Build{
		Service: "web", Context: dir, Kit: desired.BuildKit{Contexts: map[string]string{"other": other, "image": "docker-image://busybox"}},
		After: []*desired.Build{{Service: "base", Context: "https://example.test/repo.git", Dockerfile: filepath.Join(other, "file")}},
	}
	was, err := Digest(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		change  func()
		differs bool
	}{
		{"nothing", func() {}, false},
		{"an ignored file", func() { write(at("ignored/file"), "1") }, false},
		{"size", func() { write(at("sub/file"), "12") }, true},
		{"time", func() { write(at("sub/file"), "1"); _ = os.Chtimes(at("sub/file"), time.Unix(2, 0), time.Unix(2, 0)) }, true},
		{"mode", func() { write(at("sub/file"), "1"); _ = os.Chmod(at("sub/file"), 0o700) }, true},
		{"back", func() { _ = os.Remove(at("sub/file")); write(at("sub/file"), "1") }, false},
		{"a new file", func() { write(at("sub/new"), "") }, true},
		{"without it", func() { _ = os.Remove(at("sub/new")) }, false},
		{"a further context", func() { write(filepath.Join(other, "new"), "") }, true},
		{"a Dockerfile beside it", func() { _ = os.Remove(filepath.Join(other, "new")); write(filepath.Join(other, "file"), "22") }, true},
	} {
		c.change()
		is, err := Digest(b)
		if err != nil || (is != was) != c.differs {
			t.Errorf("%s: differs %v, want %v; %v", c.name, is != was, c.differs, err)
		}
	}
	if err := os.Remove(at("Dockerfile")); err != nil {
		t.Fatal(err)
	}
	if _, err := Digest(b); err == nil {
		t.Error("no Dockerfile is no error")
	}
}

// What a build would send is what is below its contexts, by whatever way, and not ignored.
func TestSends(t *testing.T) {
	dir, other, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	link := filepath.Join(elsewhere, "link")
	for path, content := range map[string]string{filepath.Join(dir, "Dockerfile"): "FROM scratch", filepath.Join(dir, ".dockerignore"): "*.plan\n!kept.plan"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	local := &desired.Build{Service: "web", Context: dir}
	remote := &desired.Build{Service: "web", Context: "https://example.test/repo.git"}
	further := &desired.Build{Service: "web", Context: remote.Context, Kit: desired.BuildKit{Contexts: map[string]string{"other": other}}}
	for _, c := range []struct {
		build *desired.Build
		path  string
		want  bool
	}{
		{local, filepath.Join(dir, "plan"), true},
		{local, filepath.Join(dir, "sub", "plan"), true},
		{local, filepath.Join(link, "plan"), true},
		{local, filepath.Join(dir, "x.plan"), false},
		{local, filepath.Join(dir, "kept.plan"), true},
		{local, filepath.Join(elsewhere, "plan"), false},
		{local, dir + "-plan", false},
		{remote, filepath.Join(dir, "plan"), false},
		{further, filepath.Join(other, "plan"), true},
		{&desired.Build{Service: "web", Context: remote.Context, After: []*desired.Build{local}}, filepath.Join(dir, "plan"), true},
	} {
		got, err := Sends(c.build, c.path)
		if err != nil || got != c.want {
			t.Errorf("%s from %s: %v, %v, want %v", c.path, c.build.Context, got, err, c.want)
		}
	}
}
