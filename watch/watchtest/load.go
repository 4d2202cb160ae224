package watchtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
)

// filledAtOnce: directories that are made and filled at once are seen with all that is in them.
func filledAtOnce(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	f := follow(t, b.Source, b.dir)
	for i := range 50 {
		b.make(fmt.Sprintf("%d/a/b/c/file", i), fmt.Sprintf("%d/a/file", i), fmt.Sprintf("%d/x/y/", i))
	}
	f.agrees(t)
	for i := range 25 {
		b.must(os.Rename(b.path(fmt.Sprint(i)), b.path(fmt.Sprintf("%d/moved", i+25))))
	}
	f.agrees(t)
	for i := range 25 {
		b.must(os.RemoveAll(b.path(fmt.Sprint(i + 25))))
		b.make(fmt.Sprintf("%d/a/other", i+25))
	}
	f.agrees(t)
}

// nobodyReads: what happens while nobody reads is told later, or it is told that it is not known.
func nobodyReads(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("d/")
	b.add("d")
	missing := map[string]bool{}
	for i := range 1000 {
		name := strconv.Itoa(i)
		b.make("d/" + name)
		missing[name] = true
	}
	late := time.After(patience)
	for len(missing) > 0 {
		select {
		case e := <-b.Events():
			if e.Lost {
				return
			}
			delete(missing, e.Name)
		case <-late:
			t.Fatalf("%d files were not told", len(missing))
		}
	}
}

// Seed is that of a random test: STACK_TEST_SEED, or one that differs each time. It is printed when the test fails.
func Seed(t testing.TB) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("STACK_TEST_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to have it again: STACK_TEST_SEED=%d", seed)
		}
	})
	return seed
}

// Random does random things to a tree and sees whether all of them are noticed by whoever looks where the source says.
func Random(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	f := follow(t, b.Source, b.dir)
	e := editor{bench: b, random: rand.New(rand.NewPCG(Seed(t), 1))}
	for range 8 {
		for range 100 {
			e.step()
		}
		f.agrees(t)
	}
}

// editor changes a tree.
type editor struct {
	*bench
	random *rand.Rand
}

// name is one of few, so that they meet.
func (e *editor) name() string {
	path := e.dir
	for range 1 + e.random.IntN(3) {
		path = filepath.Join(path, string(rune('a'+e.random.IntN(5))))
	}
	return path
}

// step does one thing. What is impossible is left.
func (e *editor) step() {
	switch path := e.name(); e.random.IntN(9) {
	case 0, 1:
		_ = write(path, strconv.Itoa(e.random.Int()))
	case 2:
		_ = appendTo(path)
	case 3, 4:
		_ = os.MkdirAll(path, 0o755)
	case 5:
		_ = os.RemoveAll(path)
	case 6:
		_ = os.Rename(path, e.name())
	case 7:
		_ = os.Chmod(path, 0o700|os.FileMode(e.random.IntN(0o100)))
	case 8:
		_ = os.Symlink(e.name(), path)
	}
}

// closing: it ends while events come, once and for all.
func closing(t *testing.T, open func(t *testing.T) watch.Source) {
	b := newBench(t, open)
	b.make("d/")
	b.add("d")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = write(b.path(fmt.Sprintf("d/%d", i%100)), "1")
			}
		}
	}()
	<-b.Events()
	b.must(b.Close(), b.Close())
	close(stop)
	<-ended
	for range b.Events() {
	}
	b.Remove(b.path("d"))
	_ = b.Add(b.path("d"))
}

// nothingIsLeft: no goroutine and no descriptor, whether anybody reads or not.
func nothingIsLeft(t *testing.T, open func(t *testing.T) watch.Source) {
	dir := t.TempDir()
	use := func() {
		s := open(t)
		if err := s.Add(dir); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := write(filepath.Join(dir, strconv.Itoa(i)), "1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	use() // what is made once and stays
	goroutines, descriptors := runtime.NumGoroutine(), count(t)
	for range 5 {
		use()
	}
	for began := time.Now(); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
	if now := count(t); now > descriptors {
		t.Errorf("%d open descriptors, %d before", now, descriptors)
	}
}

func count(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
