package keep

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/convergence"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

// loops are the loops that run, and what the next one does.
type loops struct {
	mu    sync.Mutex
	runs  []string // the projects whose loops run
	began int
	does  func(ctx context.Context, rebooted bool, report func(convergence.Status)) error
	told  int // how many projects are kept
}

func (l *loops) loop(ctx context.Context, e Entry, rebooted bool, report func(convergence.Status)) error {
	l.mu.Lock()
	l.runs, l.began = append(l.runs, e.Project+string(e.Up)), l.began+1
	does := l.does
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.Index(l.runs, e.Project+string(e.Up))
		l.runs = slices.Delete(l.runs, i, i+1)
	}()
	if does != nil {
		return does(ctx, rebooted, report)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l *loops) tell(kept int) { l.told = kept }

func (l *loops) now() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.runs)
}

// opened runs the test with a keeper that has been started, in virtual time.
func opened(t *testing.T, test func(t *testing.T, k *Keeper, l *loops, dir string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir, l := filepath.Join(t.TempDir(), "keep"), &loops{}
		k, err := Open(dir, l.loop, l.tell)
		must(t, err)
		k.Start()
		test(t, k, l, dir)
		k.Close(t.Context())
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func entry(project, up string) Entry { return Entry{Project: project, Up: []byte(up), Boot: BootID()} }

func TestWhatIsKeptOutlivesTheProcess(t *testing.T) {
	opened(t, func(t *testing.T, k *Keeper, l *loops, dir string) {
		must(t, k.Put(entry("a", "1")))
		must(t, k.Put(entry("b", "1")))
		must(t, k.Put(entry("b", "2")))
		if got := l.now(); !slices.Equal(got, []string{"a1", "b2"}) || l.told != 2 {
			t.Errorf("loops %v, told %d", got, l.told)
		}
		for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "a.json"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
		k.Close(t.Context())
		if got := l.now(); len(got) > 0 {
			t.Errorf("loops %v after the end", got)
		}
		must(t, os.WriteFile(filepath.Join(dir, "c.json"), []byte(`{"project":"../d"}`), 0o600))
		next := &loops{}
		again, err := Open(dir, next.loop, next.tell)
		must(t, err)
		if next.told != 2 || len(next.now()) > 0 {
			t.Errorf("told %d, loops %v before the start", next.told, next.now())
		}
		again.Start()
		if got := next.now(); len(got) != 2 {
			t.Errorf("loops %v", got)
		}
		must(t, again.Delete("a"))
		must(t, again.Delete("a"))
		if got := next.now(); !slices.Equal(got, []string{"b2"}) || next.told != 1 || Known(filepath.Dir(dir), "a") {
			t.Errorf("loops %v, told %d", got, next.told)
		}
		again.Close(t.Context())
	})
}

func TestALoopRestsWhileItIsHeld(t *testing.T) {
	opened(t, func(t *testing.T, k *Keeper, l *loops, _ string) {
		must(t, k.Put(entry("a", "1")))
		first, second := k.Hold("a"), k.Hold("a")
		if got := l.now(); len(got) > 0 {
			t.Errorf("loops %v while the project is held", got)
		}
		must(t, k.Put(entry("a", "2")))
		first()
		first()
		if got := l.now(); len(got) > 0 {
			t.Errorf("loops %v while the project is still held", got)
		}
		second()
		if got := l.now(); !slices.Equal(got, []string{"a2"}) {
			t.Errorf("loops %v", got)
		}
	})
}

func TestAFaultDoesNotEndTheEngine(t *testing.T) {
	opened(t, func(t *testing.T, k *Keeper, l *loops, _ string) {
		l.does = func(context.Context, bool, func(convergence.Status)) error { panic("oops") }
		must(t, k.Put(entry("a", "1")))
		synctest.Wait()
		if got := k.List(); len(got) != 1 || got[0].Status.Err != "fault of this program: oops" {
			t.Errorf("%+v", got)
		}
		time.Sleep(10 * time.Second)
		l.now()
		if l.began != 4 { // after 0, 1, 3 and 7 seconds
			t.Errorf("begun %d times in 10 s", l.began)
		}
		l.mu.Lock()
		l.does = nil
		l.mu.Unlock()
		time.Sleep(time.Minute)
		if got := l.now(); len(got) != 1 {
			t.Errorf("loops %v", got)
		}
	})
}

func TestDownEndsTheKeeping(t *testing.T) {
	opened(t, func(t *testing.T, k *Keeper, l *loops, dir string) {
		l.does = func(context.Context, bool, func(convergence.Status)) error { return convergence.ErrDown }
		must(t, k.Put(entry("a", "1")))
		l.now()
		if len(k.List()) > 0 || l.told != 0 || Known(filepath.Dir(dir), "a") {
			t.Errorf("still kept: %+v", k.List())
		}
	})
}

// What a loop still writes or removes at its end is about what was kept before.
func TestTheLastPutCounts(t *testing.T) {
	for name, end := range map[string]func(report func(convergence.Status)) error{
		"taken down": func(func(convergence.Status)) error { return convergence.ErrDown },
		"converged":  func(report func(convergence.Status)) error { report(convergence.Status{Converged: true}); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			opened(t, func(t *testing.T, k *Keeper, l *loops, dir string) {
				l.does = func(ctx context.Context, _ bool, report func(convergence.Status)) error {
					<-ctx.Done()
					return end(report)
				}
				before := entry("a", "1")
				before.Boot = "another"
				must(t, k.Put(before))
				l.now()
				must(t, k.Put(entry("a", "2")))
				if e, err := Read(filepath.Dir(dir), "a"); err != nil || string(e.Up) != "2" {
					t.Errorf("remembered: %s, %v", e.Up, err)
				}
			})
		})
	}
}

// Only when the project has come back counts a reboot as over.
func TestAReboot(t *testing.T) {
	opened(t, func(t *testing.T, k *Keeper, l *loops, dir string) {
		var seen []bool
		l.does = func(ctx context.Context, rebooted bool, report func(convergence.Status)) error {
			seen = append(seen, rebooted)
			report(convergence.Status{Converged: len(seen) > 1})
			return errors.New("again")
		}
		e := entry("a", "1")
		e.Boot = "another"
		must(t, k.Put(e))
		time.Sleep(5 * time.Second)
		l.now()
		if !slices.Equal(seen, []bool{true, true, false}) {
			t.Errorf("rebooted: %v", seen)
		}
		if now, err := Read(filepath.Dir(dir), "a"); err != nil || now.Boot != BootID() {
			t.Errorf("%+v, %v", now, err)
		}
	})
}

func TestRequests(t *testing.T) {
	dir := t.TempDir()
	l := &loops{}
	k, err := Open(filepath.Join(dir, "keep"), l.loop, l.tell)
	must(t, err)
	k.Start()
	defer k.Close(t.Context())
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	server := &http.Server{Handler: k, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	c := NewClient(filepath.Join(dir, "s"))
	ctx := t.Context()

	must(t, c.Put(ctx, entry("a", "1")))
	list, err := c.List(ctx)
	if err != nil || len(list) != 1 || list[0].Project != "a" {
		t.Errorf("%+v, %v", list, err)
	}
	release, err := c.Hold(ctx, "a")
	must(t, err)
	if k.holding("a") != 1 {
		t.Error("it is not held")
	}
	release()
	for k.holding("a") != 0 { // as soon as the server has noticed
		runtime.Gosched()
	}
	must(t, c.Delete(ctx, "a"))
	if list, err = c.List(ctx); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, name := range []string{"..", "a%2fb", "A"} {
		if err := c.Delete(ctx, name); !errors.Is(err, errOld) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Put(ctx, Entry{Project: "A"}); err == nil {
		t.Error("a name that is none was taken")
	}
}

// holding is how many hold the project.
func (k *Keeper) holding(project string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.holds[project]
}
