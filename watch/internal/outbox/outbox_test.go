package outbox

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"stackrun.dev/stack/watch"
)

// run puts the events in while nobody reads and returns what is read then, without the first one, which is already on its way.
func run(t *testing.T, events ...watch.Event) (read []watch.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := New()
		defer o.Close()
		o.Put(watch.Event{Dir: "first"})
		synctest.Wait()
		for _, e := range events {
			o.Put(e)
		}
		for {
			select {
			case e := <-o.Events():
				read = append(read, e)
				synctest.Wait()
			default:
				read = read[1:]
				return
			}
		}
	})
	return read
}

func named(names ...string) (events []watch.Event) {
	for _, name := range names {
		events = append(events, watch.Event{Dir: "d", Name: name})
	}
	return events
}

func TestWhatWaits(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []watch.Event
	}{
		{"in order", named("b", "a"), named("b", "a")},
		{"once", named("a", "b", "a", "a"), named("a", "b")},
		{"nothing beside lost events", slices.Concat(named("a"), []watch.Event{lost}, named("b"), []watch.Event{lost}), []watch.Event{lost}},
	} {
		if got := run(t, c.in...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// What was read may happen again.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New()
		defer o.Close()
		for _, e := range []watch.Event{{Dir: "d"}, {Dir: "d"}, lost, lost, {Dir: "d"}} {
			o.Put(e)
			if got := <-o.Events(); got != e {
				t.Errorf("%v, want %v", got, e)
			}
			synctest.Wait()
		}
	})
}

func TestTooManyAreLost(t *testing.T) {
	var events []watch.Event
	for i := range most {
		events = append(events, watch.Event{Name: strconv.Itoa(i)})
	}
	if got := run(t, events...); !slices.Equal(got, events) {
		t.Errorf("%d events, want %d", len(got), len(events))
	}
	if got := run(t, append(events, named("one more")...)...); !slices.Equal(got, []watch.Event{lost}) {
		t.Errorf("%d events, want one that says they were lost", len(got))
	}
}

// A reader who is always a little behind gets everything, and what he has read is not kept.
func TestNeverCaughtUp(t *testing.T) {
	o := New()
	defer o.Close()
	o.Put(watch.Event{Name: "0"})
	for i := range 3 * most {
		o.Put(watch.Event{Name: strconv.Itoa(i + 1)})
		if e := <-o.Events(); e.Name != strconv.Itoa(i) {
			t.Fatalf("%v, want %d", e, i)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) > most {
		t.Errorf("%d events are kept", len(o.waiting))
	}
}

func TestClose(t *testing.T) {
	o := New()
	o.Put(watch.Event{Dir: "d"})
	o.Close()
	o.Close()
	o.Put(watch.Event{Dir: "e"})
	if e, open := <-o.Events(); open {
		t.Errorf("%v after it was closed", e)
	}
}
