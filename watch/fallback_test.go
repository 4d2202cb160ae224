package watch_test

import (
	"errors"
	"hash/fnv"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
	"stackrun.dev/stack/watch/poll"
	"stackrun.dev/stack/watch/watchtest"
)

var limit = &watch.Limit{Name: "fs.inotify.max_user_watches", Value: 2, Raise: 1 << 20, Of: "watched directories"}

// halting is a kernel's source with an error of its own for some directories.
type halting struct {
	watch.Source
	refuse func(dir string) error
}

func (h halting) Add(dir string) error {
	err := h.refuse(dir)
	var blind *watch.Blind
	if err == nil || errors.As(err, &blind) {
		return errors.Join(err, h.Source.Add(dir))
	}
	h.Source.Remove(dir)
	return err
}

// A directory is watched, whoever of the two does it.
func TestFallback(t *testing.T) {
	for name, refuse := range map[string]func(dir string) error{
		"nothing is refused": func(string) error { return nil },
		"half is refused": func(dir string) error {
			h := fnv.New32a()
			_, _ = h.Write([]byte(dir))
			if h.Sum32()%2 == 0 {
				return limit
			}
			return nil
		},
		"it is blind": func(dir string) error { return &watch.Blind{Dir: dir, FileSystem: "nfs"} },
	} {
		t.Run(name, func(t *testing.T) {
			watchtest.Source(t, func(t *testing.T) watch.Source {
				kernel, err := fsnotify.New()
				if err != nil {
					t.Fatal(err)
				}
				return watch.NewFallback(halting{kernel, refuse}, poll.New(10*time.Millisecond), nil)
			})
		})
	}
	t.Run("no kernel", func(t *testing.T) {
		watchtest.Source(t, func(*testing.T) watch.Source {
			return watch.NewFallback(nil, poll.New(10*time.Millisecond), nil)
		})
	})
}

// The user is told once of each cause, and who watches what is as little as possible.
func TestWhatTheUserIsTold(t *testing.T) {
	kernel, polling := watchtest.NewScripted(), watchtest.NewScripted()
	kernel.Refuse = func(dir string) error {
		switch {
		case strings.HasPrefix(dir, "/beyond"):
			return limit
		case strings.HasPrefix(dir, "/nfs"):
			return &watch.Blind{Dir: dir, FileSystem: "nfs"}
		case strings.HasPrefix(dir, "/fuse"):
			return &watch.Blind{Dir: dir, FileSystem: "fuse"}
		case dir == "/none":
			return fs.ErrNotExist
		}
		return nil
	}
	var told []string
	f := watch.NewFallback(kernel, polling, func(err error) { told = append(told, err.Error()) })
	defer func() { _ = f.Close() }()
	for _, dir := range []string{"/a", "/beyond/a", "/beyond/b", "/nfs/a", "/nfs/b", "/fuse/a", "/nfs/c", "/beyond/a"} {
		if err := f.Add(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := f.Add("/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	want := []string{
		"some directories are polled: the limit fs.inotify.max_user_watches (2) of watched directories is reached; raise it with: sudo sysctl -w fs.inotify.max_user_watches=1048576 (in a file of /etc/sysctl.d it stays)",
		"some directories are polled: /nfs/a is on a nfs file system: what is changed there from elsewhere is not told",
		"some directories are polled: /fuse/a is on a fuse file system: what is changed there from elsewhere is not told",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	f.Remove("/beyond/b")
	if got, want := polling.Watched(), []string{"/beyond/a", "/fuse/a", "/nfs/a", "/nfs/b", "/nfs/c"}; !slices.Equal(got, want) {
		t.Errorf("polled %v, want %v", got, want)
	}
	go kernel.Send(watch.Event{Dir: "/a", Name: "x"})
	if e := <-f.Events(); e.Dir != "/a" {
		t.Errorf("event %v", e)
	}
	go polling.Send(watch.Event{Dir: "/nfs/a", Name: "x"})
	if e := <-f.Events(); e.Dir != "/nfs/a" {
		t.Errorf("event %v", e)
	}
}
