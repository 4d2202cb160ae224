package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// describe lists a tree with all that a copy must keep, one line per file.
func describe(t testing.TB, root string) string {
	t.Helper()
	var out []string
	names := map[uint64]string{} // of files with several names, by the first
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		var st unix.Stat_t
		err = unix.Lstat(p, &st)
		if errors.Is(err, unix.ENOENT) { // the kernel lists whiteouts where it does not merge, and then finds nothing
			return nil
		}
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %o %d:%d %d.%d", rel, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			line += " " + hex.EncodeToString(sum[:4])
			if st.Nlink > 1 {
				if first, ok := names[st.Ino]; ok {
					line += " = " + first
				} else {
					names[st.Ino] = rel
				}
			}
		case unix.S_IFLNK:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " -> " + target
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprintf(" %x", st.Rdev)
		}
		for _, name := range []string{"trusted.test", "security.capability"} {
			value := make([]byte, 64)
			if n, err := unix.Lgetxattr(p, name, value); err == nil {
				line += fmt.Sprintf(" %s=%x", name, value[:n])
			}
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// fillLayer writes random files, whiteouts and opaque directories; few names, so that layers meet.
func fillLayer(t testing.TB, r *rand.Rand, dir string, depth int, lowest bool) {
	t.Helper()
	var files []string
	for _, name := range []string{"a", "b", "c", "d"} {
		p := filepath.Join(dir, name)
		switch r.IntN(9) {
		case 0, 1:
			if depth == 0 {
				continue
			}
			must(t, os.Mkdir(p, 0o755))
			if !lowest && r.IntN(3) == 0 {
				must(t, unix.Setxattr(p, "trusted.overlay.opaque", []byte("y"), 0))
			}
			fillLayer(t, r, p, depth-1, lowest)
			must(t, os.Chmod(p, os.FileMode(0o700+r.IntN(8))|os.ModeSticky))
		case 2, 3:
			must(t, os.WriteFile(p, []byte(strings.Repeat("x", r.IntN(10_000))), 0o600), os.Chown(p, r.IntN(9), r.IntN(9)),
				unix.Chmod(p, uint32(r.IntN(0o10000))), unix.Setxattr(p, "trusted.test", []byte(name), 0))
			files = append(files, p)
		case 4:
			must(t, os.Symlink([]string{"/etc/passwd", "..", "none"}[r.IntN(3)], p), os.Lchown(p, 5, 6))
		case 5:
			must(t, unix.Mknod(p, unix.S_IFIFO|0o644, 0), unix.Chmod(p, 0o622))
		case 6:
			must(t, unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		case 7:
			if !lowest {
				must(t, unix.Mknod(p, unix.S_IFCHR, 0)) // whiteout
			}
			continue
		case 8:
			if len(files) > 0 {
				must(t, os.Link(files[r.IntN(len(files))], p))
				continue
			}
			continue
		}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{}, {Sec: r.Int64N(1e9), Nsec: r.Int64N(1e9)}}, unix.AT_SYMLINK_NOFOLLOW))
	}
}

// The kernel's overlay of the same layers shows what the volume must hold.
func TestCopyUpAgreesWithTheKernel(t *testing.T) {
	needsRoot(t)
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			var lowers []string
			tmp := t.TempDir()
			for i := range 2 + r.IntN(3) {
				l := filepath.Join(tmp, fmt.Sprint("l", i))
				must(t, os.MkdirAll(l, 0o755))
				lowers = append(lowers, l)
			}
			for i, l := range lowers {
				fillLayer(t, r, l, 3, i == len(lowers)-1)
				must(t, os.Chtimes(l, time.Time{}, time.Unix(int64(i), 0)))
			}
			mnt := filepath.Join(tmp, "mnt")
			must(t, os.Mkdir(mnt, 0o755), unix.Mount("overlay", mnt, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(lowers, ":")))
			defer func() { must(t, unix.Unmount(mnt, unix.MNT_DETACH)) }()

			m, _ := newManager(t)
			create(t, m, volume.CreateOptions{Name: "v"})
			must(t, m.CopyUp("v", lowers, "/"))
			if got, want := describe(t, pathOf(t, m, "v")), describe(t, mnt); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// image makes one layer; a name that ends with a slash is a directory, "a -> b" a link, anything else a file.
func image(t testing.TB, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		if name, target, ok := strings.Cut(n, " -> "); ok {
			must(t, os.Symlink(target, filepath.Join(dir, name)))
		} else if strings.HasSuffix(n, "/") {
			must(t, os.MkdirAll(filepath.Join(dir, n), 0o755))
		} else {
			must(t, os.WriteFile(filepath.Join(dir, n), []byte(n), 0o644))
		}
	}
	return []string{dir}
}

func TestCopyUpResolvesInsideTheImage(t *testing.T) {
	needsRoot(t)
	lowers := image(t, "data/", "data/f", "etc/", "etc/mine", "abs -> /data", "rel -> etc/../data", "out -> ../../../../../etc", "loop -> loop", "chain -> abs")
	for path, want := range map[string]string{
		"/data": "f", "data/": "f", "/abs": "f", "/rel": "f", "/chain/../abs": "f", "/out": "mine", "/none": "", "/data/f": "", "/data/f/x": "",
		"/etc/../../../data": "f",
	} {
		m, _ := newManager(t)
		create(t, m, volume.CreateOptions{Name: "v"})
		must(t, m.CopyUp("v", lowers, path))
		names, err := os.ReadDir(pathOf(t, m, "v"))
		if err != nil || len(names) > 1 || want == "" != (len(names) == 0) || want != "" && names[0].Name() != want {
			t.Errorf("%s: got %v, %v", path, names, err)
		}
	}
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	if err := m.CopyUp("v", lowers, "/loop"); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestCopyUpFillsOnlyWhatIsEmpty(t *testing.T) {
	needsRoot(t)
	lowers := image(t, "data/", "data/f")
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	dir := pathOf(t, m, "v")
	must(t, os.WriteFile(filepath.Join(dir, "own"), nil, 0o600), m.CopyUp("v", lowers, "/data"))
	if exists(filepath.Join(dir, "f")) {
		t.Error("a volume in use was written to")
	}
	// What an interrupted filling left is not somebody's.
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), fillingFile), nil, 0o600), m.CopyUp("v", lowers, "/data"))
	if !exists(filepath.Join(dir, "f")) || exists(filepath.Join(dir, "own")) || exists(filepath.Join(filepath.Dir(dir), fillingFile)) {
		t.Error("an interrupted filling is not begun again")
	}
}

func TestCopyUpByManyAtOnce(t *testing.T) {
	needsRoot(t)
	lowers := image(t, "data/", "data/f", "data/g")
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := m.CopyUp("v", lowers, "/data"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names, err := os.ReadDir(pathOf(t, m, "v")); err != nil || len(names) != 2 {
		t.Errorf("got %v, %v", names, err)
	}
}

// A directory of the host is filled like any other, and nothing in it is ever deleted.
func TestCopyUpIntoTheHostsDirectory(t *testing.T) {
	needsRoot(t)
	host := t.TempDir()
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "b", DriverOpts: map[string]string{"o": "bind", "device": host}})
	lowers := image(t, "data/", "data/f")
	must(t, m.CopyUp("b", lowers, "/data"), os.WriteFile(filepath.Join(host, "own"), nil, 0o600), m.CopyUp("b", lowers, "/data"))
	if !exists(filepath.Join(host, "f")) || !exists(filepath.Join(host, "own")) {
		t.Error("the directory is not as it should be")
	}
}

func TestFailedCopyUpLeavesTheVolumeEmpty(t *testing.T) {
	needsRoot(t)
	lowers := image(t, "data/", "data/a", "data/z/")
	must(t, unix.Setxattr(filepath.Join(lowers[0], "data/z"), "trusted.overlay.redirect", []byte("/elsewhere"), 0))
	m, _ := newManager(t)
	create(t, m, volume.CreateOptions{Name: "v"})
	if err := m.CopyUp("v", lowers, "/data"); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if names, err := os.ReadDir(pathOf(t, m, "v")); err != nil || len(names) != 0 {
		t.Errorf("left %v, %v", names, err)
	}
}

func BenchmarkCopyUp(b *testing.B) {
	names := []string{"data/"}
	for i := range 500 {
		names = append(names, fmt.Sprint("data/f", i))
	}
	lowers := image(b, names...)
	m, _ := newManager(b)
	for b.Loop() {
		create(b, m, volume.CreateOptions{Name: "v"})
		must(b, m.CopyUp("v", lowers, "/data"), m.Remove("v"))
	}
}
