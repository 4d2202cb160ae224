package launch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestLocate(t *testing.T) {
	long := "/" + strings.Repeat("x", 120)
	tests := []struct {
		name, flag string
		env        func(string) string
		host       string
		embedded   bool
		err        string
	}{
		{"flag first", "tcp://a:1", env("STACK_HOST", "tcp://b:1", "DOCKER_HOST", "tcp://c:1"), "tcp://a:1", false, ""},
		{"STACK_HOST before DOCKER_HOST", "", env("STACK_HOST", "tcp://b:1", "DOCKER_HOST", "tcp://c:1"), "tcp://b:1", false, ""},
		{"DOCKER_HOST", "", env("DOCKER_HOST", "unix:///run/docker.sock"), "unix:///run/docker.sock", false, ""},
		{"embedded", "", env("STACK_ROOT", "/r", "STACK_RUN", "/run/x"), "unix:///run/x/engine.sock", true, ""},
		{"embedded by its address", "", env("STACK_ROOT", "/r", "STACK_RUN", "/run/x", "DOCKER_HOST", "unix:///run/x/engine.sock"), "unix:///run/x/engine.sock", true, ""},
		{"no address", "docker.sock", env(), "", false, "is not an address"},
		{"relative root", "", env("STACK_ROOT", "r"), "", false, "is not absolute"},
		{"too long", "", env("STACK_RUN", long), "", false, "too long for a socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Locate(tt.flag, tt.env)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || got.Host != tt.host || got.Embedded != tt.embedded {
				t.Fatalf("got %+v, %v; want host %s, embedded %v", got, err, tt.host, tt.embedded)
			}
		})
	}
}

// Whoever names the engine's socket by another path means the same engine: else he would not find its locks.
func TestLocateByAnotherPath(t *testing.T) {
	dir := t.TempDir()
	run, link := filepath.Join(dir, "run"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(run, 0o700), os.Symlink(run, link)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		link + "/engine.sock":       true,
		run + "/../run/engine.sock": true,
		run + "/other.sock":         false,
		dir + "/engine.sock":        false,
		dir + "/gone/engine.sock":   false,
	} {
		got, err := Locate("unix://"+path, env("STACK_ROOT", "/r", "STACK_RUN", run))
		if err != nil || got.Embedded != want {
			t.Errorf("%s: %+v, %v; want embedded %v", path, got, err, want)
		}
	}
}

func TestIdlerLeavesAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		left := make(chan time.Duration, 1)
		i := newIdler(10*time.Second, 0, func() { left <- time.Since(start) })
		time.Sleep(9 * time.Second)
		if !i.connected() {
			t.Fatal("refused a connection while serving")
		}
		time.Sleep(time.Minute)
		i.setRunning(2)
		i.disconnected()
		time.Sleep(time.Minute)
		i.setRunning(0)
		synctest.Wait()
		if got, want := <-left, 139*time.Second; got != want {
			t.Errorf("left after %v, want %v", got, want)
		}
		if i.connected() {
			t.Error("took a connection while leaving")
		}
	})
}

func TestIdlerWaitsForItsStarter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		left := make(chan time.Duration, 1)
		i := newIdler(time.Millisecond, time.Minute, func() { left <- time.Since(start) })
		time.Sleep(time.Second)
		i.connected()
		i.disconnected()
		if got, want := <-left, time.Second+time.Millisecond; got != want {
			t.Errorf("left after %v, want %v", got, want)
		}
	})
}

func TestIdlerStays(t *testing.T) {
	for name, prepare := range map[string]func() *idler{
		"grace 0": func() *idler { return newIdler(0, 0, func() { panic("left") }) },
		"held": func() *idler {
			i := newIdler(time.Second, 0, func() { panic("left") })
			i.hold()
			return i
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := prepare()
				time.Sleep(time.Hour)
				i.stop()
			})
		})
	}
}

func TestAcquireWaitsForHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan int, 1)
	got := make(chan error, 1)
	go func() {
		second, err := Acquire(t.Context(), path, func(pid int) { waiting <- pid })
		got <- errors.Join(err, second.Release())
	}()
	if pid := <-waiting; pid != os.Getpid() {
		t.Errorf("waits for process %d, want %d", pid, os.Getpid())
	}
	if err := errors.Join(first.Release(), <-got); err != nil {
		t.Fatal(err)
	}
}

func TestAcquireGivesUpWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Acquire(ctx, path, func(int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLogIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.log")
	l, err := openLog(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"12345\n", "678\n", "next\n"} {
		if _, err := io.WriteString(l, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{path: "next\n", path + ".1": "12345\n678\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestAwaitReady(t *testing.T) {
	if err := awaitReady(strings.NewReader(`{"socket":"/s"}`)); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := awaitReady(strings.NewReader(`{"error":"no disk"}`)); err == nil || err.Error() != "no disk" {
		t.Errorf("got %v, want the engine's own error", err)
	}
	if err := awaitReady(strings.NewReader("")); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want %v", err, errSilent)
	}
}

func TestUnitQuotes(t *testing.T) {
	unit := Unit(Target{Root: `/var/50% "x"`, Run: "/run/stack"}, "/usr/bin/stack")
	for _, want := range []string{`Environment="STACK_ROOT=/var/50%% \"x\"" "STACK_RUN=/run/stack"`, `ExecStart="/usr/bin/stack" engine run --idle 0`, "KillMode=process"} {
		if !strings.Contains(unit, want) {
			t.Errorf("unit lacks %s:\n%s", want, unit)
		}
	}
}

type closer func() error

func (c closer) Close() error { return c() }

// serveHere runs an engine in this process and returns when it is ready.
func serveHere(t *testing.T, target Target, idle time.Duration) (closed *bool, done chan error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closed, done = new(bool), make(chan error, 1)
	go func() {
		done <- Serve(context.Background(), target, ServeOptions{
			Version: "test", Idle: idle, Ready: w,
			Open: func(context.Context, Target, func(int)) (http.Handler, io.Closer, error) {
				return http.NotFoundHandler(), closer(func() error { *closed = true; return nil }), nil
			},
		})
	}()
	if err := awaitReady(r); err != nil {
		t.Fatal(err)
	}
	return closed, done
}

func testTarget(t *testing.T) Target {
	t.Helper()
	dir := t.TempDir()
	target, err := Embedded(env("STACK_ROOT", filepath.Join(dir, "root"), "STACK_RUN", filepath.Join(dir, "run")))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestServeAnswersAndLeaves(t *testing.T) {
	target := testTarget(t)
	closed, done := serveHere(t, target, 50*time.Millisecond)
	lease, err := dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	s := lease.status
	if !s.Running || s.PID != os.Getpid() || s.Version != "test" || s.Connections != 1 {
		t.Errorf("status %+v", s)
	}
	if info, err := os.Stat(target.Socket()); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	if err := Serve(t.Context(), target, ServeOptions{}); err == nil || !strings.Contains(err.Error(), "an engine runs on") {
		t.Errorf("second engine: %v", err)
	}
	if err := lease.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if !*closed {
		t.Error("the engine was not closed")
	}
	if s, err := Ask(t.Context(), target); err != nil || s.Running {
		t.Errorf("after it left: %+v, %v", s, err)
	}
}

func TestServeReportsWhyNot(t *testing.T) {
	target := testTarget(t)
	err := Serve(t.Context(), target, ServeOptions{Open: func(context.Context, Target, func(int)) (http.Handler, io.Closer, error) {
		return nil, nil, errors.New("no cgroups")
	}})
	if err == nil || err.Error() != "no cgroups" {
		t.Fatalf("got %v", err)
	}
	if lock, _, err := tryLock(target.rootLock()); err != nil {
		t.Errorf("the root stays locked: %v", err)
	} else {
		_ = lock.Release()
	}
}
