package session

import (
	"maps"
	"slices"
	"time"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// as says what a changed path was or is now.
type as uint8

const (
	asFile as = 1 << iota // a file or a symbolic link
	asDir
)

// asOf says it of a kind.
func asOf(k tree.Kind) as {
	switch k {
	case tree.File, tree.Link:
		return asFile
	case tree.Dir:
		return asDir
	default:
		return 0
	}
}

// causes are changed paths, absolute on the host.
type causes map[string]as

// fired says which rules of a service which paths have fired, by the rules' indexes.
type fired map[int]causes

// extent says how much of a service's targets is to be compared: any of these.
type extent uint8

const (
	wanted extent = 1 << iota // what the rules with Compare copy; what differs there is a change
	all                       // what all rules copy, and what has been removed since

	nothing extent = 0
)

// pending is what a service has to do. It names paths and not what is there: that is looked up when it is done, so that what was
// seen first never undoes what was seen later. The zero value: nothing.
type pending struct {
	copies  fired // rules that copy, and the paths that are to be copied or removed
	after   fired // what of these rules is due when that has succeeded: a restart, a command
	ready   fired // rules of which all but the copying is due now
	only    apart // what is due now in some containers alone
	compare extent
	since   time.Time // when the first event of all that came
}

// idle says whether nothing is to be done.
func (p pending) idle() bool {
	return len(p.copies) == 0 && len(p.after) == 0 && len(p.ready) == 0 && len(p.only) == 0 && p.compare == nothing
}

// copying says whether files are to be copied or compared.
func (p pending) copying() bool { return len(p.copies) > 0 || p.compare != nothing }

// tidy is it without the time if there is nothing to do.
func (p pending) tidy() pending {
	if p.idle() {
		return pending{}
	}
	return p
}

// merge makes one of both, which are used up.
func merge(p, q pending) pending {
	return pending{
		copies: p.copies.with(q.copies), after: p.after.with(q.after), ready: p.ready.with(q.ready), only: p.only.with(q.only),
		compare: p.compare | q.compare, since: earlier(p.since, q.since),
	}
}

// add says that the path has fired a rule.
func (f fired) add(rule int, path string, a as) {
	if f[rule] == nil {
		f[rule] = causes{}
	}
	f[rule][path] |= a
}

// with makes one of both, which are used up.
func (f fired) with(g fired) fired {
	if len(f) == 0 {
		return g
	}
	for rule, paths := range g {
		if len(paths) > len(f[rule]) {
			paths, f[rule] = f[rule], paths
		}
		for path, a := range paths {
			f.add(rule, path, a)
		}
	}
	return f
}

// take removes the rules of which ask is true, and returns them.
func (f fired) take(ask func(rule int) bool) fired {
	out := fired{}
	for rule, paths := range f {
		if ask(rule) {
			out[rule] = paths
			delete(f, rule)
		}
	}
	return out
}

// split removes the paths, and returns them.
func (f fired) split(paths map[string]bool) fired {
	out := fired{}
	for rule, own := range f {
		for path := range paths {
			if a, ok := own[path]; ok {
				out.add(rule, path, a)
				delete(own, path)
			}
		}
		if len(own) == 0 {
			delete(f, rule)
		}
	}
	return out
}

// first is the lowest index of a rule of which ask is true.
func (f fired) first(ask func(rule int) bool) (int, bool) {
	for _, rule := range slices.Sorted(maps.Keys(f)) {
		if ask(rule) {
			return rule, true
		}
	}
	return 0, false
}

// union is the paths of all rules.
func (f fired) union() causes {
	out := causes{}
	for _, paths := range f {
		for path, a := range paths {
			out[path] |= a
		}
	}
	return out
}

// paths are those of all rules, sorted.
func (f fired) paths() []string { return slices.Sorted(maps.Keys(f.union())) }

// fire says what the rules ask for when the paths have changed. Directories alone are copied, but are no reason for more.
func fire(list []*rules.Rule, paths causes) pending {
	p := pending{copies: fired{}, after: fired{}, ready: fired{}}
	for path, a := range paths {
		for i, r := range list {
			match := matching(r, path, a)
			if match == 0 {
				continue
			}
			if r.Action.Syncs() {
				p.copies.add(i, path, match)
			}
			if match&asFile == 0 || r.Action == rules.Sync {
				continue
			}
			if r.Action.Syncs() {
				p.after.add(i, path, asFile)
			} else {
				p.ready.add(i, path, asFile)
			}
		}
	}
	return p
}

// matching says as what the path matches the rule.
func matching(r *rules.Rule, path string, a as) as {
	var match as
	if a&asFile != 0 {
		if _, ok := r.Matches(path, false); ok {
			match |= asFile
		}
	}
	if a&asDir != 0 {
		if _, ok := r.Matches(path, true); ok {
			match |= asDir
		}
	}
	return match
}

// changes are the paths of a batch. Of what is again as it was nothing tells what it has been meanwhile.
func changes(list []tree.Change) causes {
	out := make(causes, len(list))
	for _, c := range list {
		if out[c.Path] = asOf(c.Was.Kind) | asOf(c.Is.Kind); asWas(c) {
			out[c.Path] = asFile | asDir
		}
	}
	return out
}

func asWas(c tree.Change) bool {
	c.Was.ModTime = c.Is.ModTime
	return c.Was == c.Is
}

// under is what is left of it when the rules are others now: what they ask for by the paths that it names.
func (p pending) under(list []*rules.Rule) pending {
	copies, after, ready := fire(list, p.copies.union()), fire(list, p.after.union()), fire(list, p.ready.union())
	copied := func(rule int) bool { return list[rule].Action.Syncs() }
	out := pending{
		copies: copies.copies, after: after.after, ready: ready.ready.with(ready.after.take(copied)), compare: p.compare, since: p.since,
		only: p.only.under(list),
	}
	if !copying(list) {
		out.compare = nothing
	}
	return out.tidy()
}

// earlier is the earlier one of those that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
