package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"stackrun.dev/stack/watch/rules"
)

// errUnsettled: files change quicker than they are copied.
var errUnsettled = errors.New("files change while they are copied; they are copied again with the next change")

// finish draws the conclusions from the end of a step.
func (s state) finish(e finished) (state, []action) {
	step, done, cancelled := s.running, s.doing, s.cancelled
	s.running, s.doing, s.cancelled = nil, pending{}, false
	if cancelled && (e.err != nil || done.idle()) {
		s.waiting = merge(s.waiting, done)
		return s, nil
	}
	report := Report{Paths: union(done.ready.paths(), done.only.paths()), Err: e.err, Waited: e.waited}
	switch step := step.(type) {
	case copyStep:
		return s.copied(done, e)
	case rebuildStep:
		return s.rebuilt(done, e)
	case restartStep:
		report.New = len(step.only)
		return s.restarted(report, done.since)
	case signalStep:
		report.Action, report.Signal = rules.Signal, step.signal
	case execStep:
		report.Action, report.Exec, report.New = step.action, step.hook, len(step.only)
	default:
		panic(fmt.Sprintf("session: a step that is not known: %T", step))
	}
	return s, []action{tell{report, done.since}}
}

// copied: what failed, or was not found as it had been seen, is tried again with what is due after it. The rest is due now.
func (s state) copied(done pending, e finished) (state, []action) {
	report := Report{Action: rules.Sync, Paths: done.copies.paths(), Synced: e.synced, Err: e.err}
	report.Synced.Unsettled, report.Synced.Changed, report.Synced.New = nil, nil, nil
	if done.compare&wanted != 0 {
		done.after = done.after.with(s.due(e.synced))
	}
	s, report.New = s.begun(&done, e.synced)
	if e.err != nil {
		report.Err = fmt.Errorf("%w; it is tried again with the next change", e.err)
		s.failed = merge(s.failed, pending{copies: done.copies, after: done.after, compare: done.compare})
		if s.waiting.copying() { // the next change has come meanwhile
			s = s.add(pending{})
		}
		return s, []action{tell{report, done.since}}
	}
	if done.compare != nothing && !e.synced.Written.Any() && !e.synced.Removed.Any() {
		report.Paths = nil
	}
	s, out := s.settle(done, e.synced.Unsettled)
	if len(e.synced.Unsettled) > 0 && len(out) == 0 {
		report.Err = errUnsettled
	}
	if len(done.after) > 0 {
		s.waiting = merge(s.waiting, pending{ready: done.after, since: done.since})
	}
	_, restarts := s.waiting.ready.first(s.asks(rules.SyncRestart))
	restarts = restarts || s.waiting.only.any(s.asks(rules.SyncRestart))
	if !restarts || report.Err != nil {
		return s, append(out, tell{report, done.since})
	}
	return s.hold(report, done.since), out
}

// due is what the rules with Compare ask for by what differed when watching began: what runs may have read what was there before.
// What belongs to files that are still to be copied is taken back by settle.
func (s state) due(done Synced) fired {
	differed := slices.Concat(done.Changed, done.Unsettled)
	return fire(s.rules, filesOf(differed)).after.take(func(rule int) bool { return s.rules[rule].Compare })
}

// begun has done in new containers, and in them alone, what the rules ask for by what differed there: they run what their images
// have. What changes while it is copied there is done in all, by settle. It returns how many there are, if nothing was written
// elsewhere.
func (s state) begun(done *pending, synced Synced) (state, int) {
	wrote := 0
	for _, c := range synced.New {
		if len(c.Changed) == 0 {
			continue
		}
		wrote++
		if due := fire(s.rules, filesOf(c.Changed)).after; len(due) > 0 {
			s.waiting = merge(s.waiting, pending{only: apart{c.Container: due}, since: done.since})
		}
	}
	if len(synced.New) > 0 {
		done.after = done.after.with(fire(s.rules, filesOf(synced.Unsettled)).after)
	}
	if wrote != synced.Containers {
		return s, 0
	}
	return s, wrote
}

func filesOf(sources []string) causes {
	out := make(causes, len(sources))
	for _, source := range sources {
		out[source] = asFile
	}
	return out
}

// settle takes from done what belongs to files that were not found as they had been seen, and has them tried again after a while.
func (s state) settle(done pending, unsettled []string) (state, []action) {
	if len(unsettled) == 0 {
		s.unsettled = 0
		return s, nil
	}
	paths := map[string]bool{}
	seen := causes{}
	for _, path := range unsettled {
		paths[path], seen[path] = true, asFile
	}
	again := pending{copies: fire(s.rules, seen).copies, after: done.after.split(paths), since: done.since}
	again.copies = again.copies.with(done.copies.split(paths))
	s.failed = merge(s.failed, again)
	if s.unsettled++; s.unsettled > settleTries {
		s.unsettled = 0
		return s, nil
	}
	return s, []action{wake{settleAfter << (s.unsettled - 1)}}
}

// rebuilt: new containers need no more than a comparison. If there are none, the rest is still to be done.
func (s state) rebuilt(done pending, e finished) (state, []action) {
	report := Report{Action: rules.Rebuild, Paths: done.ready.take(s.asks(rules.Rebuild)).paths(), Err: e.err, Waited: e.waited}
	rest := done
	if e.err == nil {
		rest = pending{copies: done.copies, compare: done.compare, since: e.at}
		if copying(s.rules) {
			rest.compare |= all
		}
	}
	s.waiting = merge(s.waiting, rest.tidy())
	return s, []action{tell{report, done.since}}
}

// restarted: a copying before it is told with it.
func (s state) restarted(report Report, since time.Time) (state, []action) {
	report.Action = rules.Restart
	if s.held.Action != "" {
		report.Action, report.Synced = rules.SyncRestart, s.held.Synced
		report.Paths, since = union(s.held.Paths, report.Paths), earlier(s.heldSince, since)
		s.held = Report{}
	}
	return s, []action{tell{report, since}}
}

// hold keeps the report of a copying for the restart that is to follow.
func (s state) hold(report Report, since time.Time) state {
	if s.held.Action == "" {
		s.held, s.heldSince = report, since
		return s
	}
	s.held.Paths = union(s.held.Paths, report.Paths)
	s.held.Synced = sum(s.held.Synced, report.Synced)
	s.held.New = min(s.held.New, report.New)
	s.heldSince = earlier(s.heldSince, since)
	return s
}

// release tells of a copying that no restart follows any more.
func (s state) release(out []action) (state, []action) {
	if s.held.Action != "" {
		out = append(out, tell{s.held, s.heldSince})
		s.held = Report{}
	}
	return s, out
}

func sum(a, b Synced) Synced {
	return Synced{
		Written: a.Written.plus(b.Written), Removed: a.Removed.plus(b.Removed), Containers: max(a.Containers, b.Containers),
		New:   slices.Concat(a.New, b.New),
		Bytes: a.Bytes + b.Bytes, Unsettled: slices.Concat(a.Unsettled, b.Unsettled), Changed: slices.Concat(a.Changed, b.Changed),
	}
}

// union is what is in either of two sorted lists, sorted.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
