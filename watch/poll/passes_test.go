package poll

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/watch"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// told is what comes within the time.
func told(s *Source, within time.Duration) (events []watch.Event) {
	late := time.After(within)
	for {
		select {
		case e := <-s.Events():
			events = append(events, e)
		case <-late:
			return events
		}
	}
}

// inVirtualTime runs the test with a source that rests for a second and a directory with a file of long ago.
func inVirtualTime(t *testing.T, test func(t *testing.T, s *Source, dir string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(dir+"/file", nil, 0o600))
		s := New(0)
		defer func() { must(t, s.Close()) }()
		test(t, s, dir)
	})
}

// Each second is one pass, which tells of all directories, and nothing if nothing has happened.
func TestPasses(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *Source, dir string) {
		other := dir + "/other"
		must(t, os.Mkdir(other, 0o700), s.Add(dir), s.Add(other))
		if events := told(s, time.Hour+Interval/2); len(events) > 0 {
			t.Errorf("nothing has happened, and this is told: %v", events)
		}
		must(t, os.WriteFile(dir+"/file", []byte("1"), 0o600), os.WriteFile(other+"/new", nil, 0o600))
		got := fmt.Sprint(told(s, Interval+Interval/2))
		if want := fmt.Sprint([]watch.Event{{Dir: dir, Name: "file"}, {Dir: other}, {Dir: other, Name: "new"}}); got != want {
			t.Errorf("told %v, want %v", got, want)
		}
		if events := told(s, time.Hour+Interval/2); len(events) > 0 {
			t.Errorf("this is told again: %v", events)
		}
	})
}

// With nothing to look at there is nothing to do: a timer that goes on would keep virtual time running.
func TestNothingToLookAt(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *Source, dir string) {
		must(t, s.Add(dir))
		s.Remove(dir)
		must(t, os.Remove(dir+"/file"))
		if events := told(s, time.Minute+Interval/2); len(events) > 0 {
			t.Errorf("of a directory that was removed this is told: %v", events)
		}
		if s.pass() {
			t.Error("it goes on to look")
		}
		must(t, s.Add(dir), os.WriteFile(dir+"/file", nil, 0o600))
		if events := told(s, Interval+Interval/2); len(events) != 2 {
			t.Errorf("after it was added again this is told: %v", events)
		}
	})
}

// What happens while nobody reads is told once.
func TestSlowReader(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *Source, dir string) {
		must(t, s.Add(dir))
		for i := range 10 {
			must(t, os.WriteFile(dir+"/file", fmt.Append(nil, i), 0o600), os.Chtimes(dir+"/file", time.Time{}, time.Unix(int64(i), 0)))
			time.Sleep(2 * Interval)
		}
		if events := told(s, 2*Interval); len(events) > 2 { // the one that was on offer, and another
			t.Errorf("told %v", events)
		}
	})
}

// A directory that is added again keeps what was seen of it, so that what was not told yet still is.
func TestAddedAgain(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *Source, dir string) {
		must(t, s.Add(dir), os.Remove(dir+"/file"), s.Add(dir))
		if events := told(s, Interval+Interval/2); len(events) != 2 {
			t.Errorf("told %v", events)
		}
	})
}

// What came after one pass and went before the next may have been seen by whoever looked at the directory between them.
func TestBetweenPasses(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *Source, dir string) {
		must(t, s.Add(dir), os.WriteFile(dir+"/short", nil, 0o600), os.Remove(dir+"/short"))
		if got, want := fmt.Sprint(told(s, Interval+Interval/2)), fmt.Sprint([]watch.Event{{Dir: dir}}); got != want {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// A file that is written twice within one step of the clock that makes its times looks the same: it is told twice.
func TestTheSameTimes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	before, err := look(dir)
	must(t, err)
	before.entries[0].new = true
	for want := 1; want >= 0; want-- {
		now, err := look(dir)
		must(t, err)
		now.entries[0].new = false
		got := 0
		before.differences(now, func(string) { got++ })
		if got != want {
			t.Errorf("told %d times, want %d", got, want)
		}
		before = now
	}
}

// What a pass costs: 1,000 directories with 20 files each.
func BenchmarkPass(b *testing.B) {
	s := New(time.Hour)
	defer func() { _ = s.Close() }()
	base := b.TempDir()
	for i := range 1000 {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		for j := range 20 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(j)), nil, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Add(dir); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.pass()
	}
}
