package plan

import "stackrun.dev/stack/convergence/state"

// Restore plans what is left to do after a plan has failed: to bring back what it stopped and could not put anything in the
// place of, networks that it took away and could not make anew, and what updates replaced that failed; and to stop what has started and whose post_start hooks did not all succeed,
// so that the next start runs them again. done are the IDs of the plan's operations that succeeded. What never ran is not
// started.
func Restore(p *Plan, done map[string]bool) *Plan {
	b := newBuilder(nil, &state.Project{Name: p.Project})
	unhooked := unhooked(p, done)
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *StartContainer:
			b.restoreStart(op, done, unhooked[op.Subject.Name])
		case *RestartContainer:
			if done[op.ID] && unhooked[op.Subject.Name] {
				b.giveUp(&op.Header, op.Container)
			}
		}
	}
	for _, u := range failedUpdates(p, done) {
		b.restoreUpdate(u)
	}
	b.restoreNetworks(p, done)
	b.orderStarts(p)
	return b.plan.sort()
}

// GiveUp plans the second half of that only, for a plan that was cancelled: who cancels a run goes on from where it ended, but
// which hooks are missing, only this run knows.
func GiveUp(p *Plan, done map[string]bool) *Plan {
	b := newBuilder(nil, &state.Project{Name: p.Project})
	unhooked := unhooked(p, done)
	for _, op := range p.Operations {
		h := op.Head()
		if !done[h.ID] || !unhooked[h.Subject.Name] {
			continue
		}
		switch op := op.(type) {
		case *StartContainer:
			b.giveUp(h, op.Container)
		case *RestartContainer:
			b.giveUp(h, op.Container)
		}
	}
	return b.plan.sort()
}

// unhooked are the names of the containers whose post_start hooks did not all succeed.
func unhooked(p *Plan, done map[string]bool) map[string]bool {
	out := make(map[string]bool)
	for _, op := range p.Operations {
		if hook, ok := op.(*RunHook); ok && hook.Moment == PostStart && !done[hook.ID] {
			out[hook.Subject.Name] = true
		}
	}
	return out
}

// restoreStart undoes a start that failed, or whose hooks did.
func (b *builder) restoreStart(op *StartContainer, done map[string]bool, unhooked bool) {
	started := done[op.ID]
	switch r := op.Replaces; {
	case r != nil && r.Update != "": // see restoreUpdate
	case started && !unhooked:
	case r != nil && (r.Temporary != "" || !started):
		if started && !done[operationID(setAside, Container, r.Name)] { // else it makes place for the old one
			b.giveUp(&op.Header, op.Container)
		}
		b.restore(op.Service, r, done)
	case started:
		b.giveUp(&op.Header, op.Container)
	}
}

// giveUp stops a container whose post_start hooks failed.
func (b *builder) giveUp(h *Header, ref string) {
	b.add("stop", &StopContainer{Header: header(h.Service), Container: ref}, h.Subject, "its post_start hooks have not all succeeded")
}

func (b *builder) restore(service string, r *Replaced, done map[string]bool) {
	const cause = "the new one cannot be started"
	ready := ""
	if done[operationID(setAside, Container, r.Name)] {
		failed := r.Temporary
		if done[operationID("rename", Container, r.Final)] {
			failed = r.Final
		}
		remove := &RemoveContainer{Header: header(service), Container: failed, Force: true}
		removed := b.add("remove", remove, Subject{Container, failed}, cause)
		rename := &RenameContainer{Header: header(service), Container: r.Container, Name: r.Name}
		ready = b.add("bring back", rename, Subject{Container, r.Name}, cause, removed)
	}
	if r.Running && done[operationID("stop", Container, r.Name)] {
		start := &StartContainer{Header: header(service), Container: r.Container}
		b.add("start", start, Subject{Container, r.Name}, "it ran before", nonEmpty(ready)...)
	}
}
