package plan

import "stackrun.dev/stack/convergence/state"

// Restore plans to bring back what a plan stopped and could not put anything in the place of: done are the IDs of the plan's
// operations that succeeded. What never ran is not started.
func Restore(p *Plan, done map[string]bool) *Plan {
	b := newBuilder(p.Project, &state.Project{Name: p.Project})
	for _, op := range p.Operations {
		start, ok := op.(*StartContainer)
		if ok && start.Replaces != nil && !done[start.ID] {
			b.restore(start.Service, start.Replaces, done)
		}
	}
	return b.plan.sort()
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
