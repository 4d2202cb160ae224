package session

import (
	"maps"
	"path"
	"slices"
)

// tombs are the targets that had something which has gone since: containers that are made anew from an older image may have it
// again. There are no more than so many; the oldest are forgotten then. The zero value is empty.
type tombs struct {
	when  map[string]uint64
	below map[string]int // how many are below a directory
	last  uint64
}

const mostTombs = 1 << 16

func (t *tombs) add(target string) {
	if t.when == nil {
		t.when, t.below = map[string]uint64{}, map[string]int{}
	}
	t.last++
	if _, known := t.when[target]; !known {
		t.count(target, 1)
	}
	t.when[target] = t.last
	if len(t.when) > mostTombs {
		t.thin()
	}
}

// thin forgets the older half.
func (t *tombs) thin() {
	times := slices.Sorted(maps.Values(t.when))
	middle := times[len(times)/2]
	for target, when := range t.when {
		if when < middle {
			t.forget(target)
		}
	}
}

func (t *tombs) forget(target string) {
	if _, known := t.when[target]; known {
		delete(t.when, target)
		t.count(target, -1)
	}
}

func (t *tombs) count(target string, n int) {
	for dir := path.Dir(target); ; dir = path.Dir(dir) {
		if t.below[dir] += n; t.below[dir] == 0 {
			delete(t.below, dir)
		}
		if dir == "/" {
			return
		}
	}
}

// anyBelow says whether there are some below the directory.
func (t *tombs) anyBelow(dir string) bool { return t.below[dir] > 0 }

// all are the targets, sorted.
func (t *tombs) all() []string { return slices.Sorted(maps.Keys(t.when)) }
