package tree

import (
	"testing"
	"time"
)

// happening is a step some time after the one before.
type happening struct {
	after time.Duration
	what  step
	times int
}

func TestWhenToLook(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		steps []happening
		want  time.Duration // after the first
	}{
		{"one save", []happening{{0, fresh, 1}}, 3 * ms},
		{"an editor's write, rename and chmod", []happening{{0, fresh, 2}, {ms, again, 1}, {ms, again, 1}}, 2*ms + 3050*time.Microsecond},
		{"ten files at once", []happening{{0, fresh, 10}}, 3450 * time.Microsecond},
		{"two hundred at once", []happening{{0, fresh, 200}}, 12950 * time.Microsecond},
		{"a checkout that goes on", []happening{{0, fresh, 200}, {20 * ms, fresh, 200}, {40 * ms, fresh, 600}}, 110 * ms},
		{"one that does not end", []happening{{0, fresh, 500}, {40 * ms, fresh, 1}, {445 * ms, fresh, 1}}, 500 * ms},
		{"one file that is written again and again", []happening{{0, fresh, 1}, {2 * ms, again, 1}, {27 * ms, again, 1}}, 30 * ms},
		{"lost events", []happening{{0, lost, 1}}, 50 * ms},
		{"lost events in a burst", []happening{{0, fresh, 300}, {490 * ms, lost, 1}}, 500 * ms},
		{"a file that is being written", []happening{{0, later, 1}}, 20 * ms},
		{"and then it was", []happening{{0, later, 1}, {5 * ms, again, 1}}, 8 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Unix(1000, 0)
			now, b, due := begin, burst{}, time.Time{}
			for _, h := range c.steps {
				now = now.Add(h.after)
				for range h.times {
					b, due = next(b, h.what, now)
				}
			}
			if got := due.Sub(begin); got != c.want {
				t.Errorf("after %v, want %v", got, c.want)
			}
		})
	}
}
