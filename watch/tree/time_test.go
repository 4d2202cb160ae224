package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/watchtest"
)

// scripted runs the test with a tree of a new directory in virtual time. Its events are made by the test.
func scripted(t *testing.T, test func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for i := range 3 {
			write(t, fmt.Sprintf("%s/sub%d/file", dir, i), "old")
		}
		s := watchtest.NewScripted()
		tr := openedOn(t, s, Root{Path: dir})
		waitUntilRead(t, tr)
		test(t, tr, s, dir)
	})
}

// batch is the next one, which must come within the time, as lines.
func batch(t *testing.T, tr *Tree, within time.Duration) []string {
	t.Helper()
	select {
	case b := <-tr.Batches():
		return lines(b.Changes)
	case <-time.After(within + time.Millisecond):
		return nil
	}
}

func lines(changes []Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s", filepath.Base(c.Path), how(c)))
	}
	return out
}

func how(c Change) string {
	kinds := []string{"nothing", "file", "directory", "link"}
	switch {
	case c.Was.Kind == None:
		return "new " + kinds[c.Is.Kind]
	case c.Is.Kind == None:
		return "no " + kinds[c.Was.Kind]
	case c.Was.Kind != c.Is.Kind:
		return kinds[c.Was.Kind] + " is " + kinds[c.Is.Kind]
	case c.Was.Mode != c.Is.Mode:
		return fmt.Sprint("mode ", c.Is.Mode)
	default:
		return "other " + kinds[c.Is.Kind]
	}
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASaveIsToldAtOnce(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		began := time.Now()
		write(t, dir+"/sub0/file", "new")
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
		b := <-tr.Batches()
		if took := time.Since(began); took != shortQuiet {
			t.Errorf("it took %v", took)
		}
		if !b.Since.Equal(began) {
			t.Errorf("it began at %v, not at %v", b.Since, began)
		}
		equal(t, lines(b.Changes), "file other file")
	})
}

// What nobody wants to know of does not make a save wait.
func TestNoiseDoesNotDelay(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		must(t, tr.Watch(t.Context(), []Root{{Path: dir, Skip: func(path string, _ bool) bool { return strings.HasSuffix(path, ".log") }}}))
		began := time.Now()
		write(t, dir+"/sub0/file", "new")
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
		for i := range 1000 {
			s.Send(watch.Event{Dir: dir, Name: fmt.Sprint(i, ".log")})
			s.Send(watch.Event{Dir: "/", Name: fmt.Sprint(i)})
			s.Send(watch.Event{Dir: "/elsewhere", Name: fmt.Sprint(i)})
		}
		equal(t, batch(t, tr, time.Hour), "file other file")
		if took := time.Since(began); took != shortQuiet {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABurstIsOneBatch(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		began := time.Now()
		for i := range 300 {
			name := fmt.Sprint("file", i)
			write(t, dir+"/sub1/"+name, "new")
			s.Send(watch.Event{Dir: dir + "/sub1", Name: name})
			time.Sleep(time.Millisecond)
		}
		b := <-tr.Batches()
		if len(b.Changes) != 300 {
			t.Errorf("%d changes", len(b.Changes))
		}
		if took := time.Since(began); took > 400*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// Who has acted on what Each shows hears that it was undone.
func TestWhatWasShownIsTold(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		for _, text := range []string{"1", "old"} {
			write(t, dir+"/sub0/file", text)
			s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
			time.Sleep(time.Second)
			tr.Each(dir, func(string, Entry) bool { return false })
		}
		if b := <-tr.Batches(); len(b.Changes) != 1 || b.Changes[0].Path != dir+"/sub0/file" {
			t.Errorf("got %v", b.Changes)
		}
	})
}

// That is so whatever comes in between.
func TestWhatWasShownLongAgoIsTold(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		for i, c := range []struct{ sub, text string }{{"/sub0", "1"}, {"/sub1", "1"}, {"/sub0", "old"}} {
			write(t, dir+c.sub+"/file", c.text)
			s.Send(watch.Event{Dir: dir + c.sub, Name: "file"})
			time.Sleep(time.Second)
			if i == 0 {
				tr.Each(dir, func(string, Entry) bool { return false })
			}
		}
		equal(t, lines((<-tr.Batches()).Changes), "file other file", "file other file")
	})
}

// Whoever works on a batch gets the rest as one.
func TestWhatNobodyTakesIsMerged(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		began := time.Now()
		for i, text := range []string{"1", "2", "old"} {
			write(t, dir+"/sub0/file", text)
			write(t, fmt.Sprint(dir, "/sub2/", i), "new")
			s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
			s.Send(watch.Event{Dir: dir + "/sub2", Name: fmt.Sprint(i)})
			time.Sleep(time.Second)
		}
		b := <-tr.Batches()
		equal(t, lines(b.Changes), "0 new file", "1 new file", "2 new file")
		if !b.Since.Equal(began) {
			t.Errorf("it began at %v, not at %v", b.Since, began)
		}
	})
}

// An emptied file is most often about to be written.
func TestAnEmptiedFileIsWaitedForOnce(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		path, event := dir+"/sub0/file", watch.Event{Dir: dir + "/sub0", Name: "file"}
		write(t, path, "")
		s.Send(event)
		equal(t, batch(t, tr, 2*shortQuiet))
		write(t, path, "new")
		s.Send(event)
		equal(t, batch(t, tr, shortQuiet), "file other file")
		write(t, path, "")
		s.Send(event)
		equal(t, batch(t, tr, 2*shortQuiet))
		equal(t, batch(t, tr, settling), "file other file")
	})
}

// After lost events all is compared, and what is not watched any more is watched again.
func TestLost(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		before := s.Watched()
		for _, dir := range before {
			s.Remove(dir)
		}
		write(t, dir+"/sub0/file", "new")
		write(t, dir+"/sub1/new/file", "new")
		must(t, os.Remove(dir+"/sub2/file"))
		write(t, dir+"/sub0/file", "new")
		s.Send(watch.Event{Lost: true})
		equal(t, batch(t, tr, longQuiet), "file other file", "new new directory", "file new file", "file no file")
		want := append(before, dir+"/sub1/new")
		slices.Sort(want)
		equal(t, s.Watched(), want...)
		s.Send(watch.Event{Lost: true})
		equal(t, batch(t, tr, time.Hour))
	})
}

// Watch again looks at nothing that is known, and tells nothing of what is new or gone by it.
func TestWatchAgain(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		s.Calls()
		write(t, dir+"/sub0/file", "new") // it is told later
		write(t, dir+"/sub1/more", "new") // it counts already
		skip := func(path string, _ bool) bool { return path == dir+"/sub2" }
		must(t, tr.Watch(t.Context(), []Root{{Path: dir, Skip: skip}}))
		equal(t, slices.Sorted(slices.Values(s.Calls())), "remove "+dir+"/sub2")
		must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
		equal(t, slices.Sorted(slices.Values(s.Calls())), "add "+dir+"/sub2")
		must(t, tr.Watch(t.Context(), []Root{{Path: dir + "/sub0"}}))
		equal(t, slices.Sorted(slices.Values(s.Calls())), "remove "+dir+"/sub1", "remove "+dir+"/sub2")
		equal(t, batch(t, tr, time.Hour))
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
		equal(t, batch(t, tr, shortQuiet), "file other file")
		must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
		if _, known := replicaOf(tr, Root{Path: dir})[dir+"/sub1/more"]; !known {
			t.Error("a file that came while nobody watched is not known")
		}
	})
}

func TestAnEntryOfARootThatStaysIsNotMissed(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		skip := func(path string, _ bool) bool { return filepath.Base(path) == "skipped" }
		must(t, tr.Watch(t.Context(), []Root{{Path: dir, Skip: skip}}))
		write(t, dir+"/skipped", "it does not count")
		write(t, dir+"/counts", "it does, and its event is under way")
		must(t, tr.Watch(t.Context(), []Root{{Path: dir, Skip: func(string, bool) bool { return false }}}))
		s.Send(watch.Event{Dir: dir, Name: "counts"})
		s.Send(watch.Event{Dir: dir, Name: "skipped"})
		equal(t, batch(t, tr, longQuiet), "counts new file")
	})
}

// What cannot be watched is told once.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir+"/a/file", "1")
		write(t, dir+"/b/file", "1")
		s := watchtest.NewScripted()
		s.Refuse = func(path string) error {
			if path == dir+"/a" || path == dir+"/b" {
				return fmt.Errorf("cannot watch %s: %w", path, &watch.Limit{Name: "max", Value: 5})
			}
			return nil
		}
		var told []string
		tr := Open(s, Options{Told: func(err error) { told = append(told, err.Error()) }})
		defer func() { must(t, tr.Close()) }()
		must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
		s.Send(watch.Event{Lost: true})
		equal(t, batch(t, tr, time.Second))
		synctest.Wait()
		equal(t, told, (&watch.Limit{Name: "max", Value: 5}).Error())
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		s := watchtest.NewScripted()
		tr := Open(s, Options{})
		must(t, tr.Watch(t.Context(), []Root{{Path: t.TempDir()}}))
		must(t, tr.Close())
		must(t, tr.Close())
		if _, open := <-tr.Batches(); open {
			t.Error("there is a batch after the end")
		}
		if err := tr.Watch(t.Context(), nil); err == nil {
			t.Error("a closed tree watches")
		}
	})
}

// Whoever gives up a scan of a very large tree, by the context or by closing, waits for no more than what is under way.
func TestWatchIsCutShort(t *testing.T) {
	const all, enough = 400, 20
	cause := errors.New("the user has had enough")
	for name, c := range map[string]struct {
		stop func(tr *Tree, cancel context.CancelCauseFunc)
		want error
	}{
		"by its context": {func(_ *Tree, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
		"by Close":       {func(tr *Tree, _ context.CancelCauseFunc) { go func() { _ = tr.Close() }(); <-tr.closing }, errClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
				dir := t.TempDir()
				for i := range all {
					write(t, fmt.Sprintf("%s/%d/below/file", dir, i), "")
				}
				s := watchtest.NewScripted()
				tr := Open(s, Options{Told: func(err error) { t.Errorf("told: %v", err) }})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				added := 0
				s.Refuse = func(string) error { // one at a time
					if added++; added == enough {
						c.stop(tr, cancel)
					}
					return nil
				}
				if err := tr.Watch(ctx, []Root{{Path: dir}}); !errors.Is(err, c.want) {
					t.Errorf("Watch: %v, want %v", err, c.want)
				}
				if most := enough + runtime.GOMAXPROCS(0); added > most {
					t.Errorf("%d directories were watched, want at most %d", added, most)
				}
				if err := tr.Watch(t.Context(), []Root{{Path: dir}}); err == nil {
					t.Error("a tree of which only a part is known watches on")
				}
				must(t, tr.Close())
			})
		})
	}
}

// A Watch that is given up before it begins changes nothing.
func TestWatchIsNotBegun(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Calls()
		if err := tr.Watch(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		equal(t, s.Calls())
		must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
	})
}

// A directory that was replaced by a link is not entered, even if only what is in it is told.
func TestLinksBelowARootAreNotFollowed(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		elsewhere := t.TempDir()
		write(t, elsewhere+"/file", "secret")
		write(t, elsewhere+"/more", "secret")
		must(t, os.RemoveAll(dir+"/sub0"))
		must(t, os.Symlink(elsewhere, dir+"/sub0"))
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "more"})
		equal(t, batch(t, tr, time.Second))
		s.Send(watch.Event{Dir: dir + "/sub0"})
		equal(t, batch(t, tr, time.Second), "sub0 directory is link", "file no file")
	})
}

// Old kernels and sandboxes know no openat2.
func TestOpenStepwise(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a/b/c/file", "1")
	must(t, os.Symlink("b", dir+"/a/link"))
	top, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	defer closeDir(top)
	for path, want := range map[string]bool{"a": true, "a/b/c": true, "a/link": false, "a/link/c": false, "a/none": false, "a/b/c/file": false} {
		for name, open := range map[string]func(int, string, int) (int, error){"openat2": openBelow, "stepwise": openStepwise} {
			fd, err := open(top, path, unix.O_RDONLY|unix.O_DIRECTORY)
			if opened := err == nil; opened != want {
				t.Errorf("%s by %s: %v", path, name, err)
			}
			if err != nil && !absent(err) {
				t.Errorf("%s by %s: %v says nothing about what is there", path, name, err)
			}
			closeDir(fd)
		}
	}
}

// What is read in the background is kept only if it is what was seen: otherwise the change would never be told.
func TestReadAfterAChange(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, s *watchtest.Scripted, dir string) {
		n := tr.dirs[dir+"/sub0"].names["file"]
		tr.mu.Lock()
		n.digest, n.trusted = Digest{}, true
		tr.toBeRead(tr.dirs[dir+"/sub0"])
		tr.mu.Unlock()
		write(t, dir+"/sub0/file", "new")
		for tr.readNext() {
		}
		s.Send(watch.Event{Dir: dir + "/sub0", Name: "file"})
		equal(t, batch(t, tr, time.Second), "file other file")
	})
}
