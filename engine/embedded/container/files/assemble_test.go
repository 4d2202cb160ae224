package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// host makes directories and files ("name=text") and links ("name>target") below a new directory.
func host(t *testing.T, entries ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	for _, entry := range entries {
		name, text, isFile := strings.Cut(entry, "=")
		name, target, isLink := strings.Cut(name, ">")
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case isFile:
			err = errors.Join(err, os.WriteFile(at, []byte(text), 0o644))
		case isLink:
			err = errors.Join(err, os.Symlink(target, at))
		default:
			err = errors.Join(err, os.MkdirAll(at, 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func cloneOf(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	source := os.NewFile(uintptr(fd), path)
	defer source.Close()
	tree, err := Clone(source, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func assembled(t *testing.T, root string, readOnly bool, parts ...Part) *Tree {
	t.Helper()
	tree, err := Assemble(cloneOf(t, root), parts, t.TempDir(), readOnly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func text(t *testing.T, tree *Tree, name string) string {
	t.Helper()
	file, err := open(tree.Root, name, unix.O_RDONLY, 0)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	out := make([]byte, 100)
	n, _ := file.Read(out)
	return string(out[:n])
}

// Links lead from part to part, and never out.
func TestAssembleResolvesAcrossParts(t *testing.T) {
	outside := host(t, "secret=secret", "planted/")
	root := host(t, "own=own", "in>/v", "up>../../../../../../v", "out>"+outside, "climb>../../../../../.."+outside, "at>"+outside+"/planted")
	volume := host(t, "file=file", "back>/own", "other>../w/file", "out>"+outside, "climb>../../../../../.."+outside, "file2>file")
	other := host(t, "file=other")
	tree := assembled(t, root, false,
		Part{At: "/v", Tree: cloneOf(t, volume)}, Part{At: "/w", Tree: cloneOf(t, other)},
		Part{At: "/v/deep", Tree: cloneOf(t, other)}, Part{At: "/w/file", Tree: cloneOf(t, volume+"/file")})
	for name, want := range map[string]string{
		"/v/file": "file", "/in/file": "file", "/up/file": "file", "/v/back": "own", "/in/back": "own", "/v/other": "file",
		"/v/deep/file": "other", "/in/deep/file": "other", "/v/file2": "file",
	} {
		if got := text(t, tree, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"/out/secret", "/climb/secret", "/v/out/secret", "/v/climb/secret", "/in/../../../.." + outside + "/secret"} {
		if got, err := open(tree.Root, name, unix.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if entries, err := os.ReadDir(outside + "/planted"); err != nil || len(entries) > 0 {
		t.Errorf("on the host: %v, %v", entries, err)
	}
}

// A part whose place is a link that leads to nothing is where it leads inside, as it is when the container runs.
func TestAssembleAtLinksThatLeadToNothing(t *testing.T) {
	outside := host(t, "planted/")
	for link, at := range map[string]string{
		"l>none": "/d/none", "l>none/": "/d/none", "l>/none/x": "/none/x", "l>../../../../none": "/none", "l>" + outside + "/planted/x": outside + "/planted/x",
		"l>none/../x": "/d/x", "l>in/../x": "/e/x", "l>m": "/e/f/none", "l>/": "",
	} {
		for _, place := range []string{"/d/l", "/d/l/below"} {
			root, volume := host(t, "d/in>/e/f", "d/m>in/m", "e/f/m>none", "d/"+link), host(t, "file=file")
			if at == "" && place == "/d/l" {
				continue // over all the rest
			}
			tree, err := Assemble(cloneOf(t, root), []Part{{At: place, Tree: cloneOf(t, volume)}}, t.TempDir(), false)
			if err != nil {
				t.Errorf("%s at %s: %v", link, place, err)
				continue
			}
			for _, name := range []string{place, at + strings.TrimPrefix(place, "/d/l")} {
				if got := text(t, tree, name+"/file"); got != "file" {
					t.Errorf("%s at %s: %s: got %q", link, place, name, got)
				}
			}
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	single := assembled(t, host(t, "l>none/x"), false, Part{At: "/l", Tree: cloneOf(t, host(t, "file=file")+"/file")})
	if got := text(t, single, "/none/x"); got != "file" {
		t.Errorf("a file: got %q", got)
	}
	loop := cloneOf(t, host(t, "l>l/x"))
	if tree, err := Assemble(loop, []Part{{At: "/l", Tree: cloneOf(t, outside)}}, t.TempDir(), false); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself: %v, %v", tree, err)
	}
	if entries, err := os.ReadDir(outside + "/planted"); err != nil || len(entries) > 0 {
		t.Errorf("on the host: %v, %v", entries, err)
	}
}

func TestAssembleReadOnly(t *testing.T) {
	t.Run("a new kernel", testReadOnly)
	t.Run("before Linux 5.12", func(t *testing.T) {
		mountSetattr = func(int, string, uint, *unix.MountAttr) error { return unix.ENOSYS }
		defer func() { mountSetattr = unix.MountSetattr }()
		testReadOnly(t)
	})
}

func testReadOnly(t *testing.T) {
	root, writable, fixed := host(t, "own=own"), host(t), host(t)
	tree := assembled(t, root, true,
		Part{At: "/new/w", Tree: cloneOf(t, writable)}, Part{At: "/f", Tree: cloneOf(t, fixed), ReadOnly: true})
	for name, want := range map[string]error{"/own": unix.EROFS, "/made": unix.EROFS, "/f/made": unix.EROFS, "/new/w/made": nil} {
		file, err := open(tree.Root, name, unix.O_WRONLY|unix.O_CREAT, 0o600)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			file.Close()
		}
	}
	nothing, err := Nothing()
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	bare := assembled(t, root, true, Part{At: "/n", Tree: nothing})
	if _, err := open(bare.Root, "/n/made", unix.O_WRONLY|unix.O_CREAT, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("in nothing: %v", err)
	}
	if _, err := open(assembled(t, root, true).Root, "/made", unix.O_WRONLY|unix.O_CREAT, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("without parts: %v", err)
	}
}

// Where the host shares its mounts, as systemd sets it up, what is mounted in a tree does not appear there.
func TestAssembleIsSeenByNobody(t *testing.T) {
	shared := host(t)
	if err := unix.Mount("shared", shared, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(shared, unix.MNT_DETACH) })
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"volume/sub", "place", "root"} {
		if err := os.MkdirAll(filepath.Join(shared, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inner := host(t, "file=inner")
	tree, err := Assemble(cloneOf(t, shared+"/root"), []Part{
		{At: "/v", Tree: cloneOf(t, shared+"/volume")}, {At: "/v/sub", Tree: cloneOf(t, inner)},
	}, shared+"/place", false)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if got := text(t, tree, "/v/sub/file"); got != "inner" {
		t.Errorf("got %q", got)
	}
	if entries, err := os.ReadDir(shared + "/volume/sub"); err != nil || len(entries) > 0 {
		t.Errorf("on the host: %v, %v", entries, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Count(string(mounts), shared) != 1 {
		t.Errorf("the host's mounts (%v):\n%s", err, mounts)
	}
}

// A tree leaves nothing behind in the process that made it, and keeps nothing of the host's busy: what is unmounted there meanwhile
// can be mounted anew, like the file system of a container that runs again.
func TestAssembleKeepsTheHostsMountsFree(t *testing.T) {
	root, volume, overlay := host(t), host(t, "file=file"), overlayOf(t)
	for range 20 {
		overlay.mount()
		tree := assembled(t, root, false, Part{At: "/v", Tree: cloneOf(t, volume)})
		overlay.unmount()
		overlay.mount()
		if got := text(t, tree, "/v/file"); got != "file" {
			t.Errorf("got %q", got)
		}
		overlay.unmount()
	}
}

// No thread keeps the mounts of a tree beyond its Close: none is where they are when there is a tree.
func TestAssembleLeavesNoThreadBehind(t *testing.T) {
	root, volume := host(t), host(t)
	for range 100 {
		tree := assembled(t, root, false, Part{At: "/v", Tree: cloneOf(t, volume)})
		threads, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		hidden, err := tree.namespace.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if there, err := os.Stat(thread); err == nil && os.SameFile(there, hidden) {
				t.Fatalf("%s is the tree's", thread)
			}
		}
	}
}

// overlay is a file system that the kernel refuses to mount as long as it is mounted anywhere.
type overlay struct {
	t           *testing.T
	at, options string
}

func overlayOf(t *testing.T) *overlay {
	t.Helper()
	dir := host(t)
	if err := unix.Mount("overlay", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	for _, name := range []string{"lower", "upper", "work", "at"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := &overlay{t, dir + "/at", "index=on,lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper,workdir=" + dir + "/work"}
	t.Cleanup(func() { _ = unix.Unmount(o.at, unix.MNT_DETACH) })
	return o
}

func (o *overlay) mount() {
	o.t.Helper()
	if err := unix.Mount("overlay", o.at, "overlay", 0, o.options); err != nil {
		o.t.Fatalf("cannot mount it again: %v", err)
	}
}

func (o *overlay) unmount() {
	o.t.Helper()
	if err := unix.Unmount(o.at, 0); err != nil {
		o.t.Fatal(err)
	}
}
