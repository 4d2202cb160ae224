package tree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// perFile is how much memory a file may take, with its part of a directory of twenty: 40 MB for 100,000.
const perFile = 400

func TestMemory(t *testing.T) {
	const dirs, files = 40, 20
	top := manyFiles(t, dirs, files)
	before := heap()
	tr := opened(t, Root{Path: top})
	waitUntilRead(t, tr)
	if each := int(heap()-before) / (dirs * files); each > perFile {
		t.Errorf("%d bytes for each file", each)
	} else {
		t.Logf("%d bytes for each file", each)
	}
	runtime.KeepAlive(tr)
}

func heap() uint64 {
	for range 3 {
		runtime.GC() // what is pooled goes by and by
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Nothing is done while nothing happens.
func TestIdle(t *testing.T) {
	source := &counting{Source: kernel(t), added: map[string]int{}}
	tr := openedOn(t, source, Root{Path: manyFiles(t, 20, 20)})
	waitUntilRead(t, tr)
	threads, before := threadTimes(t), len(tr.Batches())
	time.Sleep(200 * time.Millisecond)
	if used := threadTimes(t) - threads; used > 20*time.Millisecond {
		t.Errorf("%v of processor time while idle", used)
	}
	if len(tr.Batches()) != before {
		t.Error("there is a batch")
	}
}

func threadTimes(t *testing.T) time.Duration {
	t.Helper()
	var r unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestCheckout: many files that come, go and change at once, as with a checkout of another branch.
func TestCheckout(t *testing.T) {
	const dirs, files = 40, 20
	top := manyFiles(t, dirs, files)
	root := Root{Path: top}
	tr := opened(t, root)
	waitUntilRead(t, tr)
	known := replicaOf(tr, root)
	for d := range dirs {
		dir := filepath.Join(top, fmt.Sprintf("module%d", d/50), fmt.Sprintf("package%d", d%50))
		for f := range files {
			path := fmt.Sprintf("%s/source_file_%d.go", dir, f)
			switch f % 4 {
			case 0:
				must(t, os.Remove(path))
			case 1:
				write(t, path, "another text")
			case 2:
				put(t, path, "yet another text")
			}
		}
		write(t, dir+"/new/file.go", "new")
	}
	began := time.Now()
	if err := settle(t, tr, known, root); err != nil {
		t.Error(err)
	}
	t.Logf("right %v after the last change", time.Since(began))
}

// TestCloseLeavesNothingOpen, whatever was just being read.
func TestCloseLeavesNothingOpen(t *testing.T) {
	top := manyFiles(t, 20, 20)
	must(t, os.Symlink(top, top+"/here"))
	use := func(text string) {
		tr := Open(kernel(t), Options{})
		must(t, tr.Watch(t.Context(), []Root{{Path: top + "/here/module0"}, {Path: top + "/later"}}))
		put(t, top+"/module0/package3/source_file_7.go", text)
		<-tr.Batches()
		write(t, top+"/module0/new/file", "new")
		must(t, tr.Close())
		must(t, os.RemoveAll(top+"/module0/new"))
	}
	use("once") // some are opened once for all
	before := descriptors(t)
	for i := range 5 {
		use(fmt.Sprint(i))
	}
	if after := descriptors(t); len(after) != len(before) {
		t.Errorf("open: %q, before: %q", after, before)
	}
}

// descriptors are what the open ones of this process are about.
func descriptors(t *testing.T) []string {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	var out []string
	for _, e := range list {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		out = append(out, to)
	}
	return out
}

// TestUnreadable: what cannot be read is told once, and its change is told all the same. Root may read everything, so this is
// done as somebody else.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir := os.Getenv("STACK_WATCH_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	write(t, dir+"/secret", "1")
	write(t, dir+"/closed/file", "1")
	must(t, os.Chmod(dir+"/secret", 0))
	must(t, os.Chmod(dir+"/closed", 0))
	var errs []string
	tr := Open(kernel(t), Options{Told: func(err error) { errs = append(errs, strings.ReplaceAll(err.Error(), dir, "")) }})
	must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
	told(t, tr, func() error { write(t, dir+"/file", "1"); return nil }, "file new file")
	told(t, tr, func() error { return os.Chmod(dir+"/closed", 0o700) }, "closed mode -rwx------", "file new file")
	told(t, tr, func() error { return os.Chmod(dir+"/secret", 0o600) }, "secret mode -rw-------")
	told(t, tr, func() error { return os.WriteFile(dir+"/secret", []byte("2"), 0) }, "secret other file")
	told(t, tr, func() error {
		return first(os.WriteFile(dir+"/secret", []byte("3"), 0), os.Chmod(dir+"/secret", 0))
	}, "secret mode ----------")
	must(t, os.Chmod(dir+"/secret", 0o600))
	must(t, tr.Close())
	equal(t, errs, "cannot watch /closed: permission denied", "cannot read /closed: permission denied", "cannot read /secret: permission denied")
}

// asNobody runs the test again.
func asNobody(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o755))
	const nobody = 65534
	must(t, os.Chown(dir, nobody, nobody))
	for above := filepath.Dir(dir); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		must(t, os.Chmod(above, 0o755))
	}
	binary := filepath.Join(filepath.Dir(dir), "test")
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(binary, self, 0o755))
	c := exec.Command(binary, "-test.run", "^TestUnreadable$")
	c.Dir, c.Env = dir, append(os.Environ(), "STACK_WATCH_DIR="+dir, "TMPDIR="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
