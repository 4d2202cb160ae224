package tree

import "time"

// When a batch is over.
const (
	shortQuiet = 3 * time.Millisecond   // after a single save: an editor writes, renames and sets permissions
	longQuiet  = 50 * time.Millisecond  // after many: a checkout, an archive that is unpacked
	perPath    = 100 * time.Microsecond // so much more for each path
	longest    = 500 * time.Millisecond // after the first event of a burst that does not end
	bound      = 10                     // a batch takes so many times what its quiet does, at most
	settling   = 20 * time.Millisecond  // a file that is being written is left alone for so long
)

// burst is what has come since the last batch. The zero value: nothing.
type burst struct {
	first, last time.Time
	paths       int
	settling    bool // the last one was not an event: a file was left for later
}

// step is what has happened.
type step uint8

const (
	again step = iota // an event about a path that is known to have had one
	fresh             // about another path
	lost              // events were lost: many
	later             // a path that was looked at too early
)

// next is the burst with what has happened, and when to look.
func next(b burst, s step, now time.Time) (burst, time.Time) {
	if b.first.IsZero() {
		b.first = now
	}
	b.last, b.settling = now, s == later
	switch s {
	case fresh, later:
		b.paths++
	case lost:
		b.paths += int(longQuiet / perPath)
	}
	return b, b.due()
}

// due is when it has been quiet for long enough, or the batch has taken too long.
func (b burst) due() time.Time {
	quiet := min(shortQuiet+time.Duration(b.paths-1)*perPath, longQuiet)
	if b.settling {
		return b.last.Add(max(quiet, settling))
	}
	end := b.first.Add(min(bound*quiet, longest))
	if calm := b.last.Add(quiet); calm.Before(end) {
		return calm
	}
	return end
}
