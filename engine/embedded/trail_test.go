package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
)

// What a sync that was killed has left is removed when the next engine begins, and by the next sync of the container, and only that.
func TestWhatAKilledSyncLeavesIsRemoved(t *testing.T) {
	l := newLab(t)
	volume := dockercontainer.HostConfig{Binds: []string{"v:/v"}}
	running, stopped := l.background("web", volume), l.created("other", volume, "true")
	dir, err := l.volumes.Path("v")
	if err != nil {
		t.Fatal(err)
	}
	leave := func(id string, dirs ...string) {
		t.Helper()
		if err := os.MkdirAll(l.trails(), 0o700); err != nil {
			t.Fatal(err)
		}
		// The last name was being written.
		if err := os.WriteFile(filepath.Join(l.trails(), id), []byte(strings.Join(dirs, "\x00")+"\x00/v/ha"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{temporary(id), "kept"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(when, id string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, temporary(id))); !os.IsNotExist(err) {
			t.Errorf("%s: it is still there: %v", when, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "kept")); err != nil {
			t.Errorf("%s: another file: %v", when, err)
		}
		if left, _ := os.ReadDir(l.trails()); len(left) > 0 {
			t.Errorf("%s: a trail is left: %v", when, left)
		}
	}
	content, _ := l.batch("/tmp/other", 3, "text")
	for _, id := range []string{running, stopped} {
		leave(id, "/none", "/v", "/bin/sh")
		if err := l.followTrailOf(t.Context(), id); err != nil {
			t.Error(err)
		}
		check("the next engine", id)
		leave(id, "/v")
		if err := l.syncTo(id, content); err != nil {
			t.Error(err)
		}
		check("the next sync", id)
	}
	gone := strings.Repeat("0", 64)
	leave(gone, "/v")
	_ = os.Remove(filepath.Join(dir, temporary(gone)))
	l.followTrails()
	l.tasks.Wait()
	check("a container that has gone", gone)
}

// A trail that leads to what nobody can reach keeps nobody from syncing.
func TestATrailThatLeadsNowhere(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	content, _ := l.batch("/tmp/other", 3, "text")
	for what, dir := range map[string]string{
		"a name that is too long": "/tmp/" + strings.Repeat("n", 300), "a path that is too long": "/tmp" + strings.Repeat("/dir", 2000),
		"a file": "/bin/sh/dir", "nothing": "",
	} {
		err := os.MkdirAll(l.trails(), 0o700)
		if err := errors.Join(err, os.WriteFile(filepath.Join(l.trails(), id), []byte(dir+"\x00"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := l.syncTo(id, content); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_ = os.Remove(filepath.Join(l.trails(), id))
	}
}

// A directory that could not be noted is not entered, however often it is tried.
func TestATrailThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	trail := &trail{noted: map[string]bool{}, file: full}
	for range 2 {
		if err := trail.note("/v"); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
}

// While a sync is under way its trail names the directories in which it is at work.
func TestASyncLeavesATrail(t *testing.T) {
	l := newLab(t)
	id := l.background("web", dockercontainer.HostConfig{})
	told := stalls["sync"](l, id)
	trail, err := os.ReadFile(filepath.Join(l.trails(), id))
	if err != nil || !strings.Contains(string(trail), "/tmp/d0\x00") {
		t.Errorf("it names %q, %v", trail, err)
	}
	l.remove(id)
	_ = told()
	if left, _ := os.ReadDir(l.trails()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
