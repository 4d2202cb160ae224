package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/watch/tree"
)

// host is Actions whose containers are directories of this machine.
type host struct {
	t     *testing.T
	image func(dir string) // fills the root of a new container

	mu     sync.Mutex
	random *rand.Rand
	roots  []string
	fails  bool // now and then
	busy   bool
	known  map[string]bool // containers that were compared; of actions only
	done   map[string]bool // those in which the last work was; of actions only
}

var _ Actions = (*host)(nil)

// one holds calls to what is promised: no two at the same time.
func (h *host) one() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy {
		h.t.Error("two actions of a service at the same time")
	}
	h.busy = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.busy = false
	}
}

// chance is true once in n times.
func (h *host) chance(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fails && h.random.IntN(n) == 0
}

// renew makes the container anew from the image.
func (h *host) renew(i int) {
	dir := h.t.TempDir()
	h.image(dir)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.roots[i] = dir
}

func (h *host) containers() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.roots)
}

// Sync leaves containers that are new to a comparison, which follows.
func (h *host) Sync(ctx context.Context, _ string, work Work) (Synced, error) {
	defer h.one()()
	out := Synced{}
	var errs []error
	before := h.done
	h.done = map[string]bool{}
	for _, dir := range h.containers() {
		if h.chance(10) {
			return out, errors.New("the container is away")
		}
		if !work.Compare && !h.known[dir] || work.After && !before[dir] {
			continue
		}
		h.known[dir], h.done[dir] = true, true
		root, err := os.OpenRoot(dir)
		if err != nil {
			return out, err
		}
		errs = append(errs, h.apply(root, work, &out), root.Close())
		out.Containers++
	}
	return out, errors.Join(append(errs, ctx.Err())...)
}

func (h *host) Restart(context.Context, string, []string) (time.Duration, error) {
	defer h.one()()
	if h.chance(4) {
		return 0, errors.New("it does not start")
	}
	return 0, nil
}

func (h *host) Signal(context.Context, string, string) error { return nil }

func (h *host) Exec(context.Context, string, types.ServiceHook, []string) error { return nil }

func (h *host) Rebuild(context.Context, string) (time.Duration, error) { return 0, nil }

// apply does what is asked for, as an engine would.
func (h *host) apply(root *os.Root, w Work, out *Synced) error {
	for _, p := range w.Remove {
		h.straight(root, p)
		err := root.Remove(p[1:])
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.ENOTDIR) {
			h.t.Errorf("remove %s: %v", p, err)
		}
	}
	var errs []error
	for _, f := range w.Files {
		if w.Compare && sameThere(root, f) {
			continue
		}
		settled, err := h.write(root, f)
		if errs = append(errs, err); !settled {
			out.Unsettled = append(out.Unsettled, f.Source)
			continue
		}
		out.Written.Files++
		if w.Compare && f.Entry.Kind != tree.Dir {
			out.Changed = append(out.Changed, f.Source)
		}
	}
	return errors.Join(errs...)
}

// straight holds work to what nobody else would notice at once: no link of the container is on the way to what is touched. It would
// lead to files of the container's own.
func (h *host) straight(root *os.Root, target string) {
	for dir := path.Dir(target[1:]); dir != "."; dir = path.Dir(dir) {
		if to, err := root.Readlink(dir); err == nil {
			h.t.Errorf("%s is reached through /%s, which leads to %s", target, dir, to)
		}
	}
}

// write reports whether the file was found as it had been seen.
func (h *host) write(root *os.Root, f File) (settled bool, err error) {
	name := f.Target[1:]
	h.straight(root, f.Target)
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return true, err
		}
	}
	was, err := root.Lstat(name)
	if err == nil && was.IsDir() != (f.Entry.Kind == tree.Dir) || err == nil && was.Mode()&fs.ModeSymlink != 0 || f.Entry.Kind == tree.Link {
		if err := root.RemoveAll(name); err != nil {
			return true, err
		}
	}
	switch f.Entry.Kind {
	case tree.Link:
		return true, root.Symlink(f.Entry.Link, name)
	case tree.Dir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return true, err
		}
		return true, root.Chmod(name, f.Entry.Mode)
	default:
		text, settled := content(f)
		if !settled && h.chance(2) {
			return false, nil
		}
		return settled, errors.Join(root.WriteFile(name, text, 0o600), root.Chmod(name, f.Entry.Mode))
	}
}

// content is the file's, and whether it is the one that was seen.
func content(f File) ([]byte, bool) {
	file, err := os.OpenFile(f.Source, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	text, err := io.ReadAll(file)
	if f.Entry.Digest != (tree.Digest{}) {
		return text, err == nil && digest(text) == f.Entry.Digest
	}
	after, failed := file.Stat()
	return text, err == nil && failed == nil && int64(len(text)) == f.Entry.Size && info.ModTime().Equal(f.Entry.ModTime) && after.ModTime().Equal(info.ModTime())
}

func digest(text []byte) tree.Digest {
	sum := sha256.Sum256(text)
	return tree.Digest(sum[:16])
}

func sameThere(root *os.Root, f File) bool {
	name := f.Target[1:]
	info, err := root.Lstat(name)
	if err != nil {
		return false
	}
	switch f.Entry.Kind {
	case tree.Link:
		link, err := root.Readlink(name)
		return err == nil && link == f.Entry.Link
	case tree.Dir:
		return info.IsDir() && info.Mode().Perm() == f.Entry.Mode.Perm()
	default:
		if !info.Mode().IsRegular() || info.Mode().Perm() != f.Entry.Mode.Perm() || f.Entry.Digest == (tree.Digest{}) {
			return false
		}
		text, err := root.ReadFile(name)
		return err == nil && digest(text) == f.Entry.Digest
	}
}

// thing is what is at a path of this machine; two that are equal look the same.
type thing struct {
	kind tree.Kind
	mode fs.FileMode
	text string // the content of a file, or where a link leads
}

// thingAt follows no link. ok: there is something that can be copied. What goes meanwhile is not there.
func thingAt(file string) (x thing, ok bool) {
	info, err := os.Lstat(file)
	if err != nil {
		return thing{}, false
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		text, err := os.ReadFile(file)
		return thing{tree.File, mode.Perm(), string(text)}, err == nil
	case mode.IsDir():
		return thing{tree.Dir, mode.Perm(), ""}, true
	case mode&fs.ModeSymlink != 0:
		link, err := os.Readlink(file)
		return thing{tree.Link, 0, link}, err == nil
	default:
		return thing{}, false
	}
}

// things are those below a directory, by their paths in it, with a slash before.
func things(dir string) map[string]thing {
	out := map[string]thing{}
	_ = filepath.WalkDir(dir, func(p string, _ fs.DirEntry, _ error) error {
		if x, ok := thingAt(p); ok && p != dir {
			out[strings.TrimPrefix(p, dir)] = x
		}
		return nil
	})
	return out
}

// put makes the thing in the directory.
func (x thing) put(t *testing.T, dir, name string) {
	t.Helper()
	file := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	switch x.kind {
	case tree.Dir:
		must(t, os.MkdirAll(file, 0o755), os.Chmod(file, x.mode))
	case tree.Link:
		must(t, os.Symlink(x.text, file))
	default:
		must(t, os.WriteFile(file, bytes.Clone([]byte(x.text)), 0o600), os.Chmod(file, x.mode))
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
