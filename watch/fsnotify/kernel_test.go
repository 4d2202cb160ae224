package fsnotify

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
)

// next is the next event that is wanted.
func next(t *testing.T, s watch.Source, wanted func(e watch.Event) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-s.Events():
			if wanted(e) {
				return
			}
		case <-late:
			t.Fatal("it was not told")
		}
	}
}

// The kernel's queue is full while nobody takes from it. What became of the directories meanwhile is not known, and all is right
// again when they were added again.
func TestOverflow(t *testing.T) {
	s := open(t).(*Source)
	defer func() { must(t, s.Close()) }()
	base := t.TempDir()
	dir := filepath.Join(base, "top", "d")
	must(t, first(os.MkdirAll(dir, 0o700), os.WriteFile(dir+"/a", nil, 0o600), s.Add(dir)))
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	s.mu.Lock()
	for range most/4 + 4<<10 { // four events each; some are taken before the reader waits
		must(t, first(os.Rename(dir+"/a", dir+"/b"), os.Rename(dir+"/b", dir+"/a")))
	}
	must(t, first(os.Rename(base+"/top", base+"/old"), os.MkdirAll(dir, 0o700)))
	s.mu.Unlock()
	next(t, s, func(e watch.Event) bool { return e.Lost })
	must(t, first(s.Add(dir), os.WriteFile(dir+"/new", nil, 0o600)))
	next(t, s, func(e watch.Event) bool { return e == watch.Event{Dir: dir, Name: "new"} })
	must(t, os.Rename(base+"/top", base+"/old2"))
	next(t, s, func(e watch.Event) bool { return e == watch.Event{Dir: dir} })
}

// namespaces is the variable that says that a test has some of its own.
const namespaces = "STACK_TEST_NAMESPACES"

// inNamespaces runs the test once more in a process with namespaces of its own, and says whether this is that process.
func inNamespaces(t *testing.T, kinds uintptr) bool {
	t.Helper()
	if os.Getenv(namespaces) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), namespaces+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  kinds | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("user namespaces are not allowed here")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// The limits are those of a namespace of the test's own, so that nobody else feels them.
func TestLimits(t *testing.T) {
	if !inNamespaces(t, 0) {
		return
	}
	dir := t.TempDir()
	must(t, first(set("watches", 20), set("instances", 2)))
	s := open(t)
	defer func() { must(t, s.Close()) }()
	told := ""
	fallback := Open(func(err error) { told = err.Error() })
	defer func() { must(t, fallback.Close()) }()

	var limit *watch.Limit
	if _, err := New(); !errors.As(err, &limit) || limit.Name != "user.max_inotify_instances" || limit.Value != 2 {
		t.Errorf("one instance too many: %v", err)
	}
	polled := ""
	must(t, Open(func(err error) { polled = err.Error() }).Close())
	if !strings.Contains(polled, "all directories are polled: ") || !strings.Contains(polled, "sysctl -w user.max_inotify_instances=") {
		t.Errorf("with no instance left this is told: %q", polled)
	}
	for i := range 25 {
		sub := filepath.Join(dir, strconv.Itoa(i))
		must(t, os.Mkdir(sub, 0o700))
		if err := s.Add(sub); errors.As(err, &limit) {
			break
		}
	}
	if limit.Name != "user.max_inotify_watches" || limit.Value != 20 {
		t.Errorf("one directory too many: %v", limit)
	}
	must(t, first(fallback.Add(dir), os.WriteFile(dir+"/file", nil, 0o600)))
	next(t, fallback, func(e watch.Event) bool { return e.Name == "file" })
	if !strings.Contains(told, "some directories are polled: ") || !strings.Contains(told, "sysctl -w user.max_inotify_watches=") {
		t.Errorf("beyond the limit this is told: %q", told)
	}
}

func set(limit string, value int) error {
	return os.WriteFile("/proc/sys/user/max_inotify_"+limit, []byte(fmt.Sprint(value)), 0)
}

// A file system gives the number of a directory that is gone to the next one. What was watched is another one then, even if nobody
// hears that the first is gone: the directory above it came and went meanwhile.
func TestSameNumber(t *testing.T) {
	s := open(t).(*Source)
	defer func() { must(t, s.Close()) }()
	base := t.TempDir()
	above, dir := filepath.Join(base, "above"), filepath.Join(base, "above", "d")
	must(t, first(os.MkdirAll(dir, 0o700), s.Add(above), s.Add(dir)))
	s.mu.Lock()
	must(t, first(os.Rename(above, base+"/away"), os.Rename(base+"/away", above), os.Remove(dir), os.Mkdir(dir, 0o700)))
	s.mu.Unlock()
	next(t, s, func(e watch.Event) bool { return e == watch.Event{Dir: above} })
	must(t, os.WriteFile(above+"/last", nil, 0o600)) // all before it was heard
	next(t, s, func(e watch.Event) bool { return e == watch.Event{Dir: above, Name: "last"} })
	must(t, first(s.Add(above), s.Add(dir), os.WriteFile(dir+"/new", nil, 0o600)))
	next(t, s, func(e watch.Event) bool { return e == watch.Event{Dir: dir, Name: "new"} })
}

// To end the watching of what was moved away and deleted fails. Nothing is lost by that, and nothing is to be compared.
func TestMovedAndDeleted(t *testing.T) {
	s := open(t).(*Source)
	defer func() { must(t, s.Close()) }()
	base, away := t.TempDir(), t.TempDir()+"/d"
	must(t, s.Add(base))
	dir := filepath.Join(base, "d")
	for range 50 {
		must(t, first(os.Mkdir(dir, 0o700), s.Add(dir)))
		s.mu.Lock() // the library waits for the reader, and hears of the move when all is over
		must(t, first(os.WriteFile(base+"/a", nil, 0o600), os.WriteFile(base+"/b", nil, 0o600), os.Rename(dir, away), os.Remove(away)))
		s.mu.Unlock()
		next(t, s, func(e watch.Event) bool {
			if e.Lost {
				t.Fatal("events were lost")
			}
			return e == watch.Event{Dir: dir}
		})
	}
}
