package buildcontext

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack returns the files of the tar as name=content; directories end in a slash.
func pack(t *testing.T, b *desired.Build) []string {
	t.Helper()
	r, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(out)
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d %s", h.Name, h.Uid, h.Uname)
		}
		entry := h.Name
		if h.Linkname != "" {
			entry += "->" + h.Linkname
		} else if !strings.HasSuffix(h.Name, "/") {
			entry += "=" + string(content)
		}
		out = append(out, entry)
	}
}

func TestIgnored(t *testing.T) {
	for name, tc := range map[string]struct{ ignore, want string }{
		"nothing":     {"", ".dockerignore= Dockerfile=F a/ a/b.log=2 a/c=3 x.log=1"},
		"pattern":     {"*.log", ".dockerignore=*.log Dockerfile=F a/ a/b.log=2 a/c=3"},
		"everywhere":  {"**/*.log", ".dockerignore=**/*.log Dockerfile=F a/ a/c=3"},
		"directory":   {"a", ".dockerignore=a Dockerfile=F x.log=1"},
		"exception":   {"a\n!a/c", ".dockerignore=a\n!a/c Dockerfile=F a/c=3 x.log=1"},
		"all":         {"*", ".dockerignore=* Dockerfile=F"},
		"dockerfiles": {"Dockerfile\n.dockerignore", ".dockerignore=Dockerfile\n.dockerignore Dockerfile=F a/ a/b.log=2 a/c=3 x.log=1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, "Dockerfile=F", "x.log=1", "a/b.log=2", "a/c=3", ".dockerignore="+tc.ignore)
			if got := strings.Join(pack(t, &desired.Build{Context: dir}), " "); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestDockerfiles(t *testing.T) {
	dir := tree(t, "Dockerfile=F", "sub/Other=O")
	outside := filepath.Join(tree(t, "D=outside"), "D")
	for name, tc := range map[string]struct {
		build   desired.Build
		content string
	}{
		"default":  {desired.Build{Context: dir}, "F"},
		"other":    {desired.Build{Context: dir, Dockerfile: "sub/Other"}, "O"},
		"inline":   {desired.Build{Context: dir, Inline: "FROM x"}, "FROM x"},
		"absolute": {desired.Build{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}, "F"},
		"outside":  {desired.Build{Context: dir, Dockerfile: outside}, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pack(t, &tc.build); !slices.Contains(got, DockerfileName(&tc.build)+"="+tc.content) {
				t.Errorf("%s is not in %q", DockerfileName(&tc.build), got)
			}
		})
	}
}

func TestLinksStayLinks(t *testing.T) {
	dir := tree(t, "Dockerfile=F")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got := pack(t, &desired.Build{Context: dir}); !slices.Contains(got, "link->/etc/passwd") {
		t.Errorf("got %q", got)
	}
}

func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		build desired.Build
		kind  error
	}{
		"no directory":  {desired.Build{Context: "/nowhere/at/all"}, engine.ErrInvalid},
		"no Dockerfile": {desired.Build{Context: t.TempDir()}, engine.ErrInvalid},
		"remote":        {desired.Build{Context: "https://example.org/x.git"}, engine.ErrUnsupported},
	} {
		if _, err := Open(&tc.build); !errors.Is(err, tc.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Closing early must end the packing goroutine; the test would otherwise leak it and the pipe would never drain.
func TestClosedEarly(t *testing.T) {
	dir := tree(t, "Dockerfile=F", "big="+strings.Repeat("x", 1<<20))
	r, err := Open(&desired.Build{Context: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read after close: %v", err)
	}
}

// A log in the context grows while it is packed. What becomes shorter cannot be what anybody meant.
func TestFilesThatChangeMeanwhile(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct {
		name    string
		to      int64
		problem string
	}{
		{"grows", 2 * size, ""},
		{"becomes shorter", size / 2, "big became shorter while it was read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, "Dockerfile=F", "big="+strings.Repeat("x", size))
			r, err := Open(&desired.Build{Context: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close() //nolint:errcheck // read only
			tr := tar.NewReader(r)
			for h, err := tr.Next(); h == nil || h.Name != "big"; h, err = tr.Next() {
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(filepath.Join(dir, "big"), c.to); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, tr)
			if _, end := tr.Next(); err == nil && !errors.Is(end, io.EOF) {
				err = end
			}
			if problem := c.problem; problem == "" && (err != nil || n != size) || problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}
