package session

import (
	"maps"
	"slices"
)

// tombs are the targets that had something which has gone since: containers that are made anew from an older image may have it
// again. There are no more than so many; the oldest are forgotten then. The zero value is empty.
type tombs struct {
	when map[string]uint64
	last uint64
}

const mostTombs = 1 << 16

func (t *tombs) add(target string) {
	if t.when == nil {
		t.when = map[string]uint64{}
	}
	t.last++
	t.when[target] = t.last
	if len(t.when) > mostTombs {
		t.thin()
	}
}

// thin forgets the older half.
func (t *tombs) thin() {
	times := slices.Sorted(maps.Values(t.when))
	middle := times[len(times)/2]
	maps.DeleteFunc(t.when, func(_ string, when uint64) bool { return when < middle })
}

func (t *tombs) forget(target string) { delete(t.when, target) }

// all are the targets, sorted.
func (t *tombs) all() []string { return slices.Sorted(maps.Keys(t.when)) }
