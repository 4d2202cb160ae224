package session

import (
	"maps"
	"slices"

	"stackrun.dev/stack/watch/rules"
)

// apart is what is due in single containers, by the name that the Actions have for them.
type apart map[string]fired

// with makes one of both, which are used up.
func (a apart) with(b apart) apart {
	if len(a) == 0 {
		return b
	}
	for container, due := range b {
		a[container] = a[container].with(due)
	}
	return a
}

// take removes the rules of which ask is true, and returns them.
func (a apart) take(ask func(rule int) bool) apart {
	out := apart{}
	for container, due := range a {
		if taken := due.take(ask); len(taken) > 0 {
			out[container] = taken
		}
		if len(due) == 0 {
			delete(a, container)
		}
	}
	return out
}

// first is the lowest index of a rule of which ask is true.
func (a apart) first(ask func(rule int) bool) (lowest int, found bool) {
	for _, due := range a {
		if rule, ok := due.first(ask); ok && (!found || rule < lowest) {
			lowest, found = rule, true
		}
	}
	return lowest, found
}

func (a apart) any(ask func(rule int) bool) bool {
	_, found := a.first(ask)
	return found
}

func (a apart) containers() []string { return slices.Sorted(maps.Keys(a)) }

// paths are those of all containers, sorted.
func (a apart) paths() []string {
	all := causes{}
	for _, due := range a {
		maps.Copy(all, due.union())
	}
	return slices.Sorted(maps.Keys(all))
}

// under is what is left of it when the rules are others now.
func (a apart) under(list []*rules.Rule) apart {
	out := apart{}
	for container, due := range a {
		if still := fire(list, due.union()).after; len(still) > 0 {
			out[container] = still
		}
	}
	return out
}
