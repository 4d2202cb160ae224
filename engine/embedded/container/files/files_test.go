package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// tree is a container's root in a directory of the host, with a secret beside it that nothing must reach.
func tree(t *testing.T) (root *os.File, dir, secret string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	outside := t.TempDir()
	dir, secret = filepath.Join(outside, "root"), filepath.Join(outside, "secret")
	for _, d := range []string{"etc", "data/sub"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "etc/motd"), []byte("hello"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "data/sub/file"), []byte("file"), 0o640))
	must(t, os.Symlink("/etc/motd", filepath.Join(dir, "data/absolute")))
	must(t, os.Symlink("../../../../../../secret", filepath.Join(dir, "data/escape")))
	must(t, os.Symlink(outside, filepath.Join(dir, "data/outside")))
	must(t, os.Symlink("sub", filepath.Join(dir, "data/linked")))
	root, err := os.Open(dir)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return root, dir, secret
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStat(t *testing.T) {
	root, _, _ := tree(t)
	for _, test := range []struct{ path, name, link string }{
		{"/etc/motd", "motd", ""},
		{"etc/motd", "motd", ""},
		{"/data/linked/file", "file", ""},
		{"/data/absolute", "absolute", "/etc/motd"},
		{"/data/linked", "linked", "/data/sub"},
		{"/data/escape", "escape", "/secret"}, // where it leads inside the root
		{"/../../etc", "etc", ""},
		{"/", "/", ""},
	} {
		got, err := Stat(root, test.path)
		if err != nil || got.Name != test.name || got.LinkTarget != test.link {
			t.Errorf("%s is %+v, %v", test.path, got, err)
		}
	}
	for _, path := range []string{"/gone", "/data/escape/x", "/data/outside/secret", "/etc/motd/x"} {
		if got, err := Stat(root, path); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s is %+v, %v", path, got, err)
		}
	}
}

func pack(t *testing.T, root *os.File, name string) map[string]string {
	t.Helper()
	var out bytes.Buffer
	must(t, Pack(root, name, &out))
	found := map[string]string{}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err == io.EOF {
			return found
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		found[h.Name] = string(content) + h.Linkname
	}
}

func TestPack(t *testing.T) {
	root, dir, _ := tree(t)
	must(t, os.Link(filepath.Join(dir, "data/sub/file"), filepath.Join(dir, "data/sub/second")))
	for _, test := range []struct {
		path string
		want []string
	}{
		{"/etc/motd", []string{"motd=hello"}},
		{"/etc", []string{"etc/=", "etc/motd=hello"}},
		{"/etc/.", []string{"./=", "motd=hello"}},
		{"/data/linked", []string{"linked=sub"}},
		{"/data/absolute", []string{"absolute=/etc/motd"}},
	} {
		var got []string
		for name, content := range pack(t, root, test.path) {
			got = append(got, name+"="+content)
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
	// One of the two names carries the content, the other leads to it.
	both := pack(t, root, "/data/linked/")
	if one, two := both["linked/file"], both["linked/second"]; one+two != "file"+"linked/file" && one+two != "linked/second"+"file" {
		t.Errorf("hard links became %q and %q", one, two)
	}
	if err := Pack(root, "/data/outside/secret", io.Discard); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("packing what is outside gave %v", err)
	}
}

type entry struct {
	tar.Header
	content string
}

func archive(t *testing.T, entries ...entry) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size, e.ModTime = int64(len(e.content)), time.Unix(1_000_000_000, 0)
		if e.Mode == 0 {
			e.Mode = 0o755
		}
		must(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.content)
		must(t, err)
	}
	must(t, w.Close())
	return &out
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o4711, Uid: 12, Gid: 34}, content}
}

func TestUnpack(t *testing.T) {
	root, dir, secret := tree(t)
	must(t, Unpack(root, "/data/linked", archive(t, file("new", "content"), file("deep/er/file", "x"),
		entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc/motd"}, ""},
		entry{tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "new"}, ""},
		entry{tar.Header{Typeflag: tar.TypeDir, Name: "dir", Mode: 0o700}, ""},
	), UnpackOptions{}))
	info, err := os.Stat(filepath.Join(dir, "data/sub/new"))
	must(t, err)
	stat := info.Sys().(*unixStat)
	if info.Mode().Perm() != 0o711 || info.Mode()&os.ModeSetuid == 0 || stat.Uid != 12 || stat.Gid != 34 || stat.Nlink != 2 || info.ModTime().Unix() != 1_000_000_000 {
		t.Errorf("mode %v, owner %d:%d, %d names, time %v", info.Mode(), stat.Uid, stat.Gid, stat.Nlink, info.ModTime())
	}
	must(t, Unpack(root, "/data", archive(t, file("owned", "")), UnpackOptions{Owner: &Owner{7, 8}}))
	info, err = os.Stat(filepath.Join(dir, "data/owned"))
	must(t, err)
	if stat := info.Sys().(*unixStat); stat.Uid != 7 || stat.Gid != 8 {
		t.Errorf("owner %d:%d", stat.Uid, stat.Gid)
	}
	// What is written through a link that leads out lands inside, or nowhere.
	_ = Unpack(root, "/data", archive(t, file("escape", "overwritten"), file("outside/secret", "overwritten")), UnpackOptions{})
	if content, err := os.ReadFile(secret); err != nil || string(content) != "secret" {
		t.Fatalf("the secret is %q, %v", content, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	root, dir, secret := tree(t)
	for _, test := range []struct {
		name  string
		at    string
		entry entry
		kind  error
	}{
		{"what leads out", "/data", file("../../secret", "x"), engine.ErrInvalid},
		{"a device", "/data", entry{tar.Header{Typeflag: tar.TypeBlock, Name: "disk", Devmajor: 8}, ""}, engine.ErrInvalid},
		{"a link to what is outside", "/data", entry{tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "../../secret"}, ""}, engine.ErrNotFound},
		{"a file over a directory", "/data", file("sub", "x"), engine.ErrInvalid},
		{"a directory over a file", "/etc", entry{tar.Header{Typeflag: tar.TypeDir, Name: "motd"}, ""}, engine.ErrInvalid},
		{"a target that is a file", "/etc/motd", file("x", "x"), engine.ErrInvalid},
		{"a target that is not there", "/gone", file("x", "x"), engine.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := Unpack(root, test.at, archive(t, test.entry), UnpackOptions{}); !errors.Is(err, test.kind) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := Unpack(root, "/", strings.NewReader("this is no tar, whatever its length may be: "+strings.Repeat("x", 600)), UnpackOptions{}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("garbage gave %v", err)
	}
	must(t, Unpack(root, "/data", archive(t, file("sub", "now a file")), UnpackOptions{ReplaceKinds: true}))
	if content, err := os.ReadFile(filepath.Join(dir, "data/sub")); err != nil || string(content) != "now a file" {
		t.Errorf("got %q, %v", content, err)
	}
	if content, err := os.ReadFile(secret); err != nil || string(content) != "secret" {
		t.Fatalf("the secret is %q, %v", content, err)
	}
}

// Somebody in the container swaps a directory for a link that leads out, again and again, while files are copied in.
func TestUnpackWhileTheTreeChanges(t *testing.T) {
	root, dir, secret := tree(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	must(t, os.Symlink(filepath.Dir(dir), filepath.Join(dir, "data/trap")))
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "data/sub"), unix.AT_FDCWD, filepath.Join(dir, "data/trap"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 300 {
		_ = Unpack(root, "/data", archive(t, file("sub/secret", "overwritten")), UnpackOptions{})
	}
	close(stop)
	<-stopped
	if content, err := os.ReadFile(secret); err != nil || string(content) != "secret" {
		t.Fatalf("the secret is %q, %v", content, err)
	}
}
