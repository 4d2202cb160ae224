package tree

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
	"stackrun.dev/stack/watch/watchtest"
)

func digestOfText(text []byte) Digest {
	sum := sha256.Sum256(text)
	return Digest(sum[:len(Digest{})])
}

// TestRandom: whatever happens to files, whoever applies the batches has what is on the disk when it is quiet. STACK_WATCH_SEED
// repeats one run, STACK_WATCH_RUNS makes more.
func TestRandom(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if n, err := strconv.Atoi(os.Getenv("STACK_WATCH_RUNS")); err == nil {
		seeds = nil
		for range n {
			seeds = append(seeds, rand.Uint64())
		}
	}
	if seed, err := strconv.ParseUint(os.Getenv("STACK_WATCH_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { random(t, seed) })
	}
}

func random(t *testing.T, seed uint64) {
	e := &editor{t: t, random: rand.New(rand.NewPCG(seed, seed)), in: t.TempDir(), out: t.TempDir()}
	for range 30 {
		e.step()
	}
	root := Root{Path: e.in, Skip: func(path string, dir bool) bool {
		return !dir && strings.HasSuffix(path, ".swp") || dir && filepath.Base(path) == "skipped"
	}}
	var source watch.Source
	source, err := fsnotify.New()
	must(t, err)
	if seed%2 == 0 {
		source = watchtest.NewLossy(source, seed, 100)
	}
	tr := openedOn(t, source, root)
	known := replicaOf(tr, root)
	if err := difference(known.described(), onDisk(t, root)); err != nil {
		t.Fatalf("at the start: %v", err)
	}
	for round := range 8 {
		e.log = nil
		for range 20 + e.random.IntN(60) {
			e.step()
			if e.random.IntN(12) == 0 {
				time.Sleep(time.Duration(e.random.IntN(12)) * time.Millisecond)
			}
			if e.random.IntN(40) == 0 {
				must(t, tr.Watch(t.Context(), []Root{root}))
			}
		}
		if err := settle(t, tr, known, root); err != nil {
			t.Fatalf("round %d: %v\nafter: %s", round, err, strings.Join(e.log, "\n       "))
		}
	}
}

// settle applies batches until the replica is what is on the disk, and stays so.
func settle(t *testing.T, tr *Tree, known replica, root Root) error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case b := <-tr.Batches():
			if err := known.apply(b); err != nil {
				return err
			}
		case <-time.After(60 * time.Millisecond):
			if err = difference(known.described(), onDisk(t, root)); err == nil {
				return difference(replicaOf(tr, root).described(), onDisk(t, root))
			}
		}
	}
	return err
}

// editor does what people and programs do to files, at random.
type editor struct {
	t       *testing.T
	random  *rand.Rand
	in, out string // the root, and a place that is not watched
	log     []string
}

func (e *editor) step() {
	steps := []func() string{
		e.write, e.write, e.write, e.rewrite, e.append, e.truncate, e.save, e.save, e.mkdir, e.fill, e.rename, e.rename, e.moveOut, e.moveIn,
		e.remove, e.chmod, e.symlink, e.swap, e.touch, e.restoreTime, e.link, e.socket,
	}
	what := steps[e.random.IntN(len(steps))]()
	e.log = append(e.log, time.Now().Format("05.000 ")+strings.TrimSpace(what))
}

var names = []string{"a", "b", "c", "A", "x.go", "y.go", "z.swp", "skipped", "d"}

func (e *editor) name() string { return names[e.random.IntN(len(names))] }

// path is one that may or may not be there, up to three directories deep.
func (e *editor) path() string {
	path := e.in
	for range 1 + e.random.IntN(3) {
		path += "/" + e.name()
	}
	return path
}

// some is one that is there, most often.
func (e *editor) some(kind func(os.FileMode) bool) string {
	var all []string
	_ = filepath.WalkDir(e.in, func(path string, entry os.DirEntry, err error) error {
		if err == nil && path != e.in && kind(entry.Type()) {
			all = append(all, path)
		}
		return nil
	})
	if len(all) == 0 {
		return e.path()
	}
	slices.Sort(all)
	return all[e.random.IntN(len(all))]
}

func (e *editor) file() string { return e.some(os.FileMode.IsRegular) }
func (e *editor) any() string  { return e.some(func(os.FileMode) bool { return true }) }

func (e *editor) text() []byte {
	return []byte(strings.Repeat(strconv.Itoa(e.random.IntN(4)), e.random.IntN(4)*e.random.IntN(2000)))
}

func (e *editor) write() string {
	path := e.path()
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "write nothing"
	}
	return fmt.Sprintln("write ", path, os.WriteFile(path, e.text(), 0o644))
}

func (e *editor) rewrite() string {
	path := e.file()
	text, err := os.ReadFile(path)
	if err != nil {
		return "nothing"
	}
	return fmt.Sprintln("write the same to ", path, os.WriteFile(path, text, 0o644))
}

func (e *editor) append() string {
	path := e.file()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(e.text())
		_ = f.Close()
	}
	return fmt.Sprintln("append to ", path, err)
}

func (e *editor) truncate() string {
	path := e.file()
	return fmt.Sprintln("truncate ", path, os.Truncate(path, int64(e.random.IntN(5))))
}

func (e *editor) save() string {
	path := e.file()
	err := os.WriteFile(path+".swp", e.text(), 0o600)
	if err == nil {
		err = os.Rename(path+".swp", path)
		_ = os.Chmod(path, 0o644)
	}
	return fmt.Sprintln("save ", path, err)
}

func (e *editor) mkdir() string {
	path := e.path()
	return fmt.Sprintln("make the directory ", path, os.MkdirAll(path, 0o755))
}

// fill makes a directory and fills it at once.
func (e *editor) fill() string {
	path := e.path()
	for i := range 1 + e.random.IntN(20) {
		dir := filepath.Join(path, e.name())
		_ = os.MkdirAll(dir, 0o755)
		_ = os.WriteFile(fmt.Sprint(dir, "/f", i), e.text(), 0o644)
	}
	return fmt.Sprintln("fill ", path)
}

func (e *editor) rename() string {
	from, to := e.any(), e.path()
	return fmt.Sprintln("rename ", from, " to ", to, os.Rename(from, to))
}

func (e *editor) moveOut() string {
	from, to := e.any(), e.out+"/"+e.name()
	return fmt.Sprintln("move out ", from, " to ", to, os.Rename(from, to))
}

func (e *editor) moveIn() string {
	from, to := e.out+"/"+e.name(), e.path()
	return fmt.Sprintln("move in ", from, " to ", to, os.Rename(from, to))
}

func (e *editor) remove() string {
	path := e.any()
	if e.random.IntN(20) == 0 {
		path = e.in // what is watched comes and goes, too
		_ = os.RemoveAll(path)
		time.Sleep(time.Duration(e.random.IntN(3)) * time.Millisecond)
		return fmt.Sprintln("remove and make ", path, os.Mkdir(path, 0o755))
	}
	return fmt.Sprintln("remove ", path, os.RemoveAll(path))
}

func (e *editor) chmod() string {
	path := e.any()
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink != 0 {
		return "chmod nothing"
	}
	mode := []os.FileMode{0o600, 0o644, 0o755, 0o700, 0o775 | os.ModeSetgid}[e.random.IntN(5)]
	return fmt.Sprintln("chmod ", path, mode, os.Chmod(path, mode))
}

func (e *editor) symlink() string {
	path := e.path()
	to := []string{"a", "../b", "/proc", e.out, "nowhere"}[e.random.IntN(5)] // of those outside nothing can be written in the former
	if e.random.IntN(2) == 0 {
		_ = os.RemoveAll(path)
	}
	return fmt.Sprintln("link ", path, " to ", to, os.Symlink(to, path))
}

func (e *editor) swap() string {
	a, b := e.any(), e.any()
	return fmt.Sprintln("swap ", a, b, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}

func (e *editor) touch() string {
	path, now := e.any(), time.Now()
	if e.random.IntN(4) == 0 {
		now = now.Add(time.Hour)
	}
	return fmt.Sprintln("touch ", path, os.Chtimes(path, now, now))
}

// restoreTime writes another text of the same length and gives the file its time back.
func (e *editor) restoreTime() string {
	path := e.file()
	info, err := os.Lstat(path)
	if err != nil {
		return "nothing"
	}
	text, _ := os.ReadFile(path)
	for i := range text {
		text[i] = '0' + (text[i]+1)%4
	}
	_ = os.WriteFile(path, text, 0o644)
	return fmt.Sprintln("write with an old time ", path, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// link renames the way that old programs do.
func (e *editor) link() string {
	from, to := e.file(), e.path()
	err := os.Link(from, to)
	if err == nil {
		err = os.Remove(from)
	}
	return fmt.Sprintln("hard link ", from, " as ", to, err)
}

func (e *editor) socket() string {
	path := e.path()
	return fmt.Sprintln("socket ", path, unix.Mknod(path, unix.S_IFSOCK|0o600, 0))
}
