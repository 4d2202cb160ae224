package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"
)

// lockAs makes this program another user's run that takes the lock and says so, or whom it waits for.
const lockAs = "LOCK_AS"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockAs); name != "" {
		lockForTest(name)
	}
	os.Exit(m.Run())
}

func lockForTest(name string) {
	at := Locks{Dir: os.Args[len(os.Args)-1], Shared: true}
	_, err := LockProject(context.Background(), at, "k", Holder{PID: os.Getpid(), User: name}, func(h Holder) error {
		_, err := os.Stdout.WriteString("waits for " + h.User + "\n")
		return err
	})
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("locked\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// runAs starts such a run; its lines are what it says.
func runAs(t *testing.T, uid uint32, name, dir string) (lines *bufio.Scanner, end func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", dir)
	cmd.Env = []string{lockAs + "=" + name}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out), func() { _ = in.Close() }
}

// open is a directory that every user can reach.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "locks")
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("it says %q, want %q", lines.Text(), want)
	}
}

// Three users, each of whom can be the first.
func TestUsersExcludeEachOther(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be others")
	}
	for _, uids := range [][]uint32{{0, 65534, 1234}, {65534, 0, 1234}, {1234, 65534, 0}} {
		dir := open(t)
		first, endFirst := runAs(t, uids[0], "first", dir)
		expect(t, first, "locked")
		second, endSecond := runAs(t, uids[1], "second", dir)
		expect(t, second, "waits for first")
		endFirst()
		expect(t, second, "locked")
		third, endThird := runAs(t, uids[2], "third", dir)
		expect(t, third, "waits for second")
		endSecond()
		expect(t, third, "locked")
		endThird()
	}
}

// A file that its holder removes is locked by nobody else who thinks that it is the lock.
func TestReleaseLeavesNothingAndExcludes(t *testing.T) {
	at, key := OwnLocks(t.TempDir()), "k"
	var running atomic.Int32
	done := make(chan error)
	for range 8 {
		go func() {
			var err error
			for range 50 {
				var lock *ProjectLock
				if lock, err = LockProject(context.Background(), at, key, Holder{}, nil); err != nil {
					break
				}
				if running.Add(1) != 1 {
					err = errors.New("two have the lock")
				}
				runtime.Gosched() // others get the lock now, if they can
				running.Add(-1)
				if err = errors.Join(err, lock.Release()); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(at.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Who has waited for a file that has lost its name must not take it for the lock because somebody has given it another one.
func TestLockIsTheFileOfItsName(t *testing.T) {
	at := Locks{Dir: filepath.Join(t.TempDir(), "locks"), Shared: true}
	first, err := LockProject(t.Context(), at, "k", Holder{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LockProject(t.Context(), at, "k", Holder{}, func(Holder) error {
		return errors.Join(os.Link(filepath.Join(at.Dir, "k.lock"), filepath.Join(at.Dir, "other")), first.Release())
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Release() }()
	held := errors.New("held")
	if third, err := LockProject(t.Context(), at, "k", Holder{}, func(Holder) error { return held }); !errors.Is(err, held) {
		t.Errorf("two have the lock: %v, %v", err, third.Release())
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	at := OwnLocks(t.TempDir())
	since := time.Date(2026, 1, 2, 12, 3, 4, 0, time.Local)
	first, err := LockProject(t.Context(), at, "k", Holder{PID: 123, User: "ro\x1bot", Command: "stack up -d\n\x1b[2J", Since: since}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Release() }()
	no := errors.New("no")
	var text string
	_, err = LockProject(t.Context(), at, "k", Holder{}, func(h Holder) error { text = h.String(); return no })
	if want := "stack up -d[2J of root (process 123, since 12:03:04)"; text != want || !errors.Is(err, no) {
		t.Errorf("waits for %q (%v), want %q", text, err, want)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = LockProject(ctx, at, "k", Holder{}, func(Holder) error { cancel(no); return nil })
	if !errors.Is(err, no) {
		t.Errorf("error %v, want the context's cause", err)
	}
	if text := (Holder{}).String(); text != "another run" {
		t.Errorf("an unknown holder is %q", text)
	}
}

// What others can put in the place of a lock must not lose its content.
func TestOtherFilesAreNoLocks(t *testing.T) {
	for name, put := range map[string]func(victim, path string) error{
		"symbolic link": os.Symlink,
		"hard link":     os.Link,
		"directory":     func(_, path string) error { return os.Mkdir(path, 0o777) },
		"pipe":          func(_, path string) error { return unix.Mkfifo(path, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			at := Locks{Dir: filepath.Join(t.TempDir(), "locks"), Shared: true}
			victim := filepath.Join(filepath.Dir(at.Dir), "victim")
			if err := errors.Join(os.Mkdir(at.Dir, 0o777), os.WriteFile(victim, []byte("precious"), 0o600), put(victim, filepath.Join(at.Dir, "k.lock"))); err != nil {
				t.Fatal(err)
			}
			lock, err := LockProject(t.Context(), at, "k", Holder{PID: 1}, nil)
			if err == nil {
				t.Errorf("it is taken for a lock: %v", lock.Release())
			}
			if content, err := os.ReadFile(victim); err != nil || string(content) != "precious" {
				t.Errorf("the file is now %q, %v", content, err)
			}
		})
	}
}

func TestSharedDirectoryIsNoLink(t *testing.T) {
	dir := t.TempDir()
	at := Locks{Dir: filepath.Join(dir, "locks"), Shared: true}
	if err := os.Symlink(dir, at.Dir); err != nil {
		t.Fatal(err)
	}
	if lock, err := LockProject(t.Context(), at, "k", Holder{}, nil); err == nil {
		t.Errorf("a link is followed: %v", lock.Release())
	}
}

type informer string

func (i informer) Info(context.Context) (system.Info, error) {
	if i == "down" {
		return system.Info{}, fs.ErrClosed
	}
	return system.Info{ID: string(i)}, nil
}

func TestProjectKey(t *testing.T) {
	dir := t.TempDir()
	socket, link := filepath.Join(dir, "s"), filepath.Join(dir, "l")
	if err := errors.Join(os.WriteFile(socket, nil, 0o600), os.Symlink(socket, link)); err != nil {
		t.Fatal(err)
	}
	key := func(id informer, target Target, project string) string {
		t.Helper()
		key, err := ProjectKey(t.Context(), id, target, project)
		if err != nil || strings.ContainsAny(key, "/.") {
			t.Fatalf("key %q, %v", key, err)
		}
		return key
	}
	own := Target{Embedded: true, Root: "/var/lib/stack", Host: "unix:///run/stack/engine.sock"}
	foreign, linked := Target{Host: "unix://" + socket}, Target{Host: "unix://" + link}
	if key("down", own, "x") != key("down", Target{Embedded: true, Root: "/var/lib/stack/"}, "x") {
		t.Error("an embedded engine is asked, or not known by its root")
	}
	if key("a", foreign, "x") != key("a", Target{Host: "tcp://127.0.0.1:2375"}, "x") {
		t.Error("one engine at two addresses is two")
	}
	if key("", foreign, "x") != key("", linked, "x") {
		t.Error("one socket with two names is two")
	}
	different := []string{key("a", foreign, "x"), key("b", foreign, "x"), key("a", foreign, "y"), key("a", own, "x"), key("", foreign, "x")}
	for i, k := range different {
		for _, other := range different[:i] {
			if k == other {
				t.Errorf("%d has the key of another one", i)
			}
		}
	}
	if _, err := ProjectKey(t.Context(), informer("down"), foreign, "x"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestIntent(t *testing.T) {
	run := t.TempDir()
	if i, err := ReadIntent(run, "k"); err != nil || !reflect.DeepEqual(i, Intent{}) {
		t.Errorf("without one: %v, %v", i, err)
	}
	want := Intent{Stopped: []string{"db", "web"}, PID: 7, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := WriteIntent(run, "k", want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadIntent(run, "k"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if other, err := ReadIntent(run, "other"); err != nil || other.Stopped != nil {
		t.Errorf("another project's: %v, %v", other, err)
	}
	for range 2 {
		if err := WriteIntent(run, "k", Intent{PID: 8}); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(OwnLocks(run).Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(intentFile(run, "k"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadIntent(run, "k"); err == nil {
		t.Error("half a file is an intent")
	} else if _, ok := errors.AsType[*json.SyntaxError](err); !ok {
		t.Errorf("error %v", err)
	}
}
