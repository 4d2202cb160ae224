package session

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/watch/rules"
)

// event is what may happen to a service.
type event interface{ isEvent() }

type (
	// changed: these paths have.
	changed struct {
		paths causes
		since time.Time
	}
	// renewed: containers are new, or may have missed something.
	renewed struct{ at time.Time }
	// updated: these are its rules from now on. None: it is not watched any more.
	updated struct{ rules []*rules.Rule }
	// seen: what the rules name is known to the tree.
	seen struct{ at time.Time }
	// finished: the step that ran has ended.
	finished struct {
		synced Synced
		waited time.Duration // for others to be done
		err    error
		at     time.Time
	}
	// woken: the time of a wake is over.
	woken struct{ at time.Time }
)

func (changed) isEvent()  {}
func (renewed) isEvent()  {}
func (updated) isEvent()  {}
func (seen) isEvent()     {}
func (finished) isEvent() {}
func (woken) isEvent()    {}

// action is what is to be done because of an event.
type action interface{ isAction() }

type (
	// start: this step. The one before has ended.
	start struct{ step step }
	// cancel: what runs. That it has ended is still an event.
	cancel struct{}
	// tell: this, with the time since then.
	tell struct {
		report Report
		since  time.Time
	}
	// wake: with an event after this time. A wake before is forgotten.
	wake struct{ after time.Duration }
)

func (start) isAction()  {}
func (cancel) isAction() {}
func (tell) isAction()   {}
func (wake) isAction()   {}

// step is one thing to do.
type step interface{ isStep() }

type (
	copyStep struct {
		rules   []*rules.Rule
		copies  fired
		compare extent
	}
	restartStep struct{ only []string } // containers; none: all
	signalStep  struct{ signal string }
	execStep    struct {
		action rules.Action
		hook   types.ServiceHook
		only   []string
	}
	rebuildStep struct{}
)

func (copyStep) isStep()    {}
func (restartStep) isStep() {}
func (signalStep) isStep()  {}
func (execStep) isStep()    {}
func (rebuildStep) isStep() {}

// state is what is known of one service's work. The zero value is the start.
type state struct {
	rules   []*rules.Rule
	waiting pending // is done as soon as nothing runs
	failed  pending // waits for the next occasion to be tried again

	running   step    // nil: nothing
	doing     pending // what running is about
	cancelled bool    // running has been told to end

	blind     bool   // the rules are new, and the tree may not know yet what they name
	unseen    bool   // some with Compare are new
	held      Report // a copying that is told with the restart that follows it; without an action: none
	heldSince time.Time
	unsettled int // how many times in a row files were not found as they had been seen
}

// How long after a copying what was unsettled is tried again: doubled each time, until it is given up.
const (
	settleAfter = 20 * time.Millisecond
	settleTries = 8
)

// next is the whole of what decides. It uses up the state that it is given.
func next(s state, e event) (state, []action) {
	var out []action
	switch e := e.(type) {
	case changed:
		s = s.change(e)
	case renewed:
		s = s.renew(e)
	case updated:
		s, out = s.update(e)
	case seen:
		s = s.see(e)
	case finished:
		s, out = s.finish(e)
	case woken:
		s = s.again(e)
	default:
		panic(fmt.Sprintf("session: an event that is not known: %T", e))
	}
	return s.advance(out)
}

// change adds what the rules ask for. What failed before is tried again with it.
func (s state) change(e changed) state {
	p := fire(s.rules, e.paths)
	if p.idle() {
		return s
	}
	p.since = e.since
	return s.add(p)
}

// renew asks for a full comparison.
func (s state) renew(e renewed) state {
	if !copying(s.rules) {
		return s
	}
	return s.add(pending{compare: all, since: e.at})
}

// see asks for the comparison that new rules begin with.
func (s state) see(e seen) state {
	unseen := s.unseen
	s.blind, s.unseen = false, false
	if !unseen {
		return s
	}
	return s.add(pending{compare: wanted, since: e.at})
}

// again takes up what has failed.
func (s state) again(e woken) state {
	if s.failed.idle() {
		return s
	}
	return s.add(pending{since: e.at})
}

// add has it done, and what failed before with it.
func (s state) add(p pending) state {
	s.waiting = merge(merge(s.waiting, p), s.failed)
	s.failed = pending{}
	return s
}

// update changes the rules. What is pending under the old ones stays as far as the new ones ask for it, too.
func (s state) update(e updated) (state, []action) {
	if len(e.rules) == 0 {
		s, out := s.release(nil)
		return state{running: s.running, cancelled: s.cancelled}, out
	}
	if !slices.EqualFunc(s.rules, e.rules, same) {
		began := s.doing.since // is told, whatever is left of it
		s.waiting, s.failed, s.doing = s.waiting.under(e.rules), s.failed.under(e.rules), s.doing.under(e.rules)
		s.doing.since = began
		s.unseen = s.unseen || slices.ContainsFunc(e.rules, func(r *rules.Rule) bool {
			known := func(old *rules.Rule) bool { return same(old, r) }
			return r.Compare && r.Action.Syncs() && !slices.ContainsFunc(s.rules, known)
		})
	}
	s.rules, s.blind = e.rules, true
	return s, nil
}

// same says whether two rules say the same, wherever they are written.
func same(a, b *rules.Rule) bool {
	one, other := *a, *b
	one.Place = other.Place
	return reflect.DeepEqual(one, other)
}

// copying says whether one of the rules copies.
func copying(list []*rules.Rule) bool {
	return slices.ContainsFunc(list, func(r *rules.Rule) bool { return r.Action.Syncs() })
}

// advance starts the next step, or cancels one that has become pointless.
func (s state) advance(out []action) (state, []action) {
	if s.running != nil {
		if s.pointless() && !s.cancelled {
			s.cancelled = true
			out = append(out, cancel{})
		}
		return s, out
	}
	s.cancelled = false
	s, out = s.choose(out)
	if s.running != nil {
		out = append(out, start{s.running})
	}
	return s, out
}

// pointless says whether what runs had better end: a rebuild of what has changed since or that is not asked for any more, and
// anything of a service that is not watched any more.
func (s state) pointless() bool {
	if len(s.rules) == 0 {
		return true
	}
	if _, ok := s.running.(rebuildStep); !ok {
		return false
	}
	_, still := s.doing.ready.first(s.asks(rules.Rebuild))
	_, newer := s.waiting.ready.first(s.asks(rules.Rebuild))
	return !still || newer
}

// choose takes the next step from what waits: a rebuild with all the rest, which its new containers do without; else the copying,
// and when that is done what follows it.
func (s state) choose(out []action) (state, []action) {
	ready := s.waiting.ready
	asked := func(actions ...rules.Action) bool { _, ok := ready.first(s.asks(actions...)); return ok }
	switch {
	case asked(rules.Rebuild):
		s, out = s.release(out)
		s.running, s.doing, s.waiting = rebuildStep{}, s.waiting, pending{}
	case s.blind && s.waiting.copying():
	case s.waiting.copying():
		s.running = copyStep{s.rules, s.waiting.copies, s.waiting.compare}
		s.doing, s.waiting = s.waiting, pending{ready: ready, only: s.waiting.only, since: s.waiting.since}.tidy()
		s.doing.ready, s.doing.only = nil, nil
	case asked(rules.Restart, rules.SyncRestart):
		s.running = restartStep{}
		s = s.takeReady(s.asks(rules.Restart, rules.SyncRestart, rules.Signal))
	case s.waiting.only.any(s.asks(rules.SyncRestart)):
		s, s.running = s.takeOnly(s.asks(rules.SyncRestart), func(only []string) step { return restartStep{only} })
	case asked(rules.Signal):
		s, out = s.release(out)
		i, _ := ready.first(s.asks(rules.Signal))
		s.running = signalStep{s.rules[i].Signal}
		s = s.takeReady(func(j int) bool { return s.rules[j].Action == rules.Signal && s.rules[j].Signal == s.rules[i].Signal })
	case asked(rules.Exec, rules.SyncExec):
		s, out = s.release(out)
		i, _ := ready.first(s.asks(rules.Exec, rules.SyncExec))
		s.running = execStep{s.rules[i].Action, s.rules[i].Exec, nil}
		s = s.takeReady(func(j int) bool { return j == i })
	case s.waiting.only.any(s.asks(rules.SyncExec)):
		s, out = s.release(out)
		i, _ := s.waiting.only.first(s.asks(rules.SyncExec))
		s, s.running = s.takeOnly(func(j int) bool { return j == i }, func(only []string) step {
			return execStep{s.rules[i].Action, s.rules[i].Exec, only}
		})
	default:
		s, out = s.release(out)
	}
	return s, out
}

// takeReady moves what the step does from what waits. What is done in all containers need not be done in some, too.
func (s state) takeReady(ask func(rule int) bool) state {
	s.doing = pending{ready: s.waiting.ready.take(ask), only: s.waiting.only.take(ask), since: s.waiting.since}
	s.waiting = s.waiting.tidy()
	return s
}

// takeOnly does it for a step in some containers alone.
func (s state) takeOnly(ask func(rule int) bool, make func(only []string) step) (state, step) {
	s.doing = pending{only: s.waiting.only.take(ask), since: s.waiting.since}
	s.waiting = s.waiting.tidy()
	return s, make(s.doing.only.containers())
}

// asks tells of a rule whether its action is one of these.
func (s state) asks(actions ...rules.Action) func(rule int) bool {
	return func(rule int) bool { return slices.Contains(actions, s.rules[rule].Action) }
}
