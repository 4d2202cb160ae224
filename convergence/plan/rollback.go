package plan

import (
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
)

// failedUpdate is the update of a service of which something has failed.
type failedUpdate struct {
	service string
	Rollout
	over   bool   // the last gate let it pass all the same
	parts  []part // what it replaced, or was about to
	broken []part // whose new container did not take the place
	good   []part // whose did
}

// part is the replacement of one container in an update.
type part struct {
	*Replaced
	stop   *StopContainer   // of the old one, or nil
	remove *RemoveContainer // of the old one
	done   map[string]bool
}

// failedUpdates finds the updates that did not succeed as a whole, in the plan's order.
func failedUpdates(p *Plan, done map[string]bool) []*failedUpdate {
	parts, stops, removes := make(map[string][]part), make(map[string]*StopContainer), make(map[string]*RemoveContainer)
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *StopContainer:
			stops[op.Container] = op
		case *RemoveContainer:
			removes[op.Container] = op
		}
	}
	var out []*failedUpdate
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *StartContainer:
			if r := op.Replaces; r != nil && r.Update != "" {
				parts[r.Update] = append(parts[r.Update], part{r, stops[r.Container], removes[r.Container], done})
			}
		case *Gate:
			if op.Update != nil {
				out = append(out, &failedUpdate{service: op.Service, Rollout: *op.Update, over: done[op.ID]})
			}
		}
	}
	for _, u := range out {
		u.parts = parts[u.service]
		u.sort()
	}
	return slices.DeleteFunc(out, func(u *failedUpdate) bool { return u.over && len(u.good) == len(u.parts) })
}

func (u *failedUpdate) sort() {
	for _, p := range u.parts {
		switch {
		case p.done[p.End]:
			u.good = append(u.good, p)
		case p.begun():
			u.broken = append(u.broken, p)
		}
	}
}

func (p *part) did(verb, name string) bool { return p.done[operationID(verb, Container, name)] }

func (p *part) begun() bool { return p.did("create", p.Temporary) }
func (p *part) aside() bool { return p.did(setAside, p.Name) }

// stopped says that the old container ran and does not any more. A stop that failed may have stopped it all the same; to start
// what runs does no harm.
func (p *part) stopped() bool {
	return p.stop != nil && !slices.ContainsFunc(p.stop.Needs, func(id string) bool { return !p.done[id] })
}

// newName is what the new container is called.
func (p *part) newName() string {
	if p.did("rename", p.Final) {
		return p.Final
	}
	return p.Temporary
}

// oldName is what the old container is called.
func (p *part) oldName() string {
	if p.aside() {
		return asideName(p.Container, p.Name)
	}
	return p.Name
}

// restoreUpdate brings back the old containers whose successors failed, and those of the whole service if the update is to be
// rolled back. Of an update that is not, and ended, the old containers of those that succeeded are removed.
func (b *builder) restoreUpdate(u *failedUpdate) {
	var back []string
	for _, p := range u.broken {
		back = append(back, b.bringBack(u, p, false, Header{}))
	}
	switch {
	case u.over:
	case u.OnFailure == desired.FailureRollback:
		b.rollBack(u, back)
	default:
		for _, p := range u.good {
			remove := &RemoveContainer{Header: header(u.service), Container: p.Container, Volumes: p.remove.Volumes, Force: true}
			b.add("remove", remove, Subject{Container, p.oldName()}, "a new one has taken its place")
		}
	}
}

// rollBack brings back the old containers of the parts that succeeded, in batches, when those that are missing are back.
func (b *builder) rollBack(u *failedUpdate, back []string) {
	const what = " the rollback of"
	how := &u.Rollback
	size := how.Parallelism
	if size <= 0 {
		size = max(1, len(u.good))
	}
	batches := slices.Collect(slices.Chunk(u.good, size))
	gate, behind := "", Header{After: back}
	for i, batch := range batches {
		switch {
		case i > 0 && how.Delay > 0:
			behind = Header{Needs: nonEmpty(b.delay(what, u.service, how, i, len(batches), gate))}
		case i > 0:
			behind = Header{Needs: nonEmpty(gate)}
		}
		var ends []string
		for _, p := range batch {
			ends = append(ends, b.bringBack(u, p, true, behind))
		}
		if len(batches) > 1 {
			gate = b.endBatch(what, u.service, how, ends, gateOf{i, len(batches), len(u.good), gate})
		}
	}
}

// bringBack puts the old container in the place of the new one again, behind the operations, and returns that after which it
// has proved itself. Where both could run side by side in the update, they can on the way back.
func (b *builder) bringBack(u *failedUpdate, p part, works bool, behind Header) string {
	behind = Header{Service: u.service, Needs: slices.Clone(behind.Needs), After: slices.Clone(behind.After)}
	if p.stopped() && p.Order == desired.StartFirst && (!works || u.Rollback.Order == desired.StartFirst) {
		return b.bringBackBeside(u, p, works, behind)
	}
	last := b.nameBack(u, p, b.removeNew(u, p, works, behind))
	if !p.stopped() {
		return last
	}
	op := &StartContainer{Header: Header{Service: u.service, After: nonEmpty(last)}, Container: p.Container}
	last = b.add("start", op, Subject{Container, p.Name}, "it ran before")
	if works {
		last = b.prove(u.proof(p, p.Name), last)
	}
	return last
}

// bringBackBeside starts the old container before the new one is stopped.
func (b *builder) bringBackBeside(u *failedUpdate, p part, works bool, behind Header) string {
	start := b.add("start", &StartContainer{Header: behind, Container: p.Container}, Subject{Container, p.oldName()}, "it ran before")
	proved := b.prove(u.proof(p, p.oldName()), start)
	b.nameBack(u, p, b.removeNew(u, p, works, Header{Service: u.service, Needs: nonEmpty(start), After: nonEmpty(proved)}))
	return proved
}

func (u *failedUpdate) proof(p part, name string) proof {
	return proof{u.service, p.Container, name, maybe, u.Rollback.Monitor, "rollback", false}
}

// removeNew removes the new container, behind the operations. One that works is not killed: it may end in its time.
func (b *builder) removeNew(u *failedUpdate, p part, works bool, behind Header) string {
	subject, cause := Subject{Container, p.newName()}, "the update of "+u.service+" failed"
	if works {
		stop := b.add("stop", &StopContainer{Header: behind, Container: p.newName()}, subject, cause)
		behind = Header{Service: u.service, Needs: nonEmpty(stop)}
	}
	return b.add("remove", &RemoveContainer{Header: behind, Container: p.newName(), Force: true}, subject, cause)
}

// nameBack gives the old container its name again, if it has another one.
func (b *builder) nameBack(u *failedUpdate, p part, removed string) string {
	if !p.aside() {
		return removed
	}
	rename := &RenameContainer{Header: header(u.service), Container: p.Container, Name: p.Name}
	return b.add("bring back", rename, Subject{Container, p.Name}, "the update of "+u.service+" failed", removed)
}

// Unfinished is an update by update_config that failed.
type Unfinished struct {
	Service string
	Outcome string // what has become of it when Restore's plan is carried out
}

// UnfinishedUpdates tells of the updates of a plan that failed, as far as Restore knows better than the failures themselves.
func UnfinishedUpdates(p *Plan, done map[string]bool) []Unfinished {
	var out []Unfinished
	for _, u := range failedUpdates(p, done) {
		out = append(out, Unfinished{u.service, u.outcome()})
	}
	return out
}

func (u *failedUpdate) outcome() string {
	old := slices.DeleteFunc(slices.Clone(u.parts), func(p part) bool { return p.done[p.End] })
	switch {
	case !slices.ContainsFunc(u.parts, func(p part) bool { return p.stopped() }):
		return "the old containers run on"
	case u.OnFailure == desired.FailureRollback && !u.over, len(u.good) == 0:
		return "the old containers are back"
	case u.over:
		return fmt.Sprintf("it went on; %s as before, and the next up tries again", are(old))
	}
	return fmt.Sprintf("it is paused; %s new, %s as before; up goes on with it, rollback goes back", are(u.good), are(old))
}

// are names the parts' containers, with the verb.
func are(parts []part) string {
	var names []string
	for _, p := range parts {
		names = append(names, p.Final)
	}
	last := len(names) - 1
	if last == 0 {
		return names[0] + " is"
	}
	return strings.Join(names[:last], ", ") + " and " + names[last] + " are"
}
