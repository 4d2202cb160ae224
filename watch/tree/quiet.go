package tree

import "time"

// When a batch is over: when it has been quiet for long enough, or when it has taken too long.
const (
	shortQuiet   = 3 * time.Millisecond   // after a single save: an editor writes, renames and sets permissions
	quietPerPath = 50 * time.Microsecond  // so much longer for each further path
	longQuiet    = 50 * time.Millisecond  // at most: after a checkout, an archive that is unpacked
	short        = 30 * time.Millisecond  // what a single save that does not end may take
	perPath      = time.Millisecond       // so much longer for each further path
	longest      = 500 * time.Millisecond // at most
	settling     = 20 * time.Millisecond  // a file that is being written is left alone for so long
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
		b.paths += int(longQuiet / quietPerPath)
	}
	return b, b.due()
}

// due is when it has been quiet for long enough, or the batch has taken too long.
func (b burst) due() time.Time {
	further := time.Duration(b.paths - 1)
	quiet := min(shortQuiet+further*quietPerPath, longQuiet)
	if b.settling {
		return b.last.Add(max(quiet, settling))
	}
	end := b.first.Add(min(short+further*perPath, longest))
	if calm := b.last.Add(quiet); calm.Before(end) {
		return calm
	}
	return end
}
