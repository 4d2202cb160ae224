package plan

import (
	"fmt"
	"slices"
	"time"

	"stackrun.dev/stack/convergence/desired"
)

// rollout is an update of a service by its update_config: the members that are replaced, batch after batch.
//
// A member that starts first is made, started, found healthy and watched under its temporary name; then the old one is
// stopped and set aside, and the new one gets its name. One that stops first is made, the old one is stopped and set aside,
// and the new one gets its name, is started, found healthy and watched. A gate ends the batch. The old ones are removed after
// the last gate only, so that until then all of them can be brought back; see Restore.
//
// rollOut plans what is about the old containers and the names, when it is known which members are replaced; rollIn what is
// about the new ones, when it is known what their starts wait for; endRollout the gates.
type rollout struct {
	members []*member
	shared  bool // see batches
}

// rollsOut says that the members of the service that are replaced are so by its update_config. A service whose end others
// wait for has nothing that could go on without a gap.
func (u *up) rollsOut(s *service) bool {
	if s.Update == nil || u.options.NoStart || u.finite[s.Name] || s.OneOff() {
		return false
	}
	if s.rollout == nil {
		s.rollout = &rollout{}
	}
	return true
}

// batches are the members that are replaced at the same time, in order. Those of a service whose namespaces or volumes others use
// are all: what the others do would have to wait for batches, which may wait for what the others do.
func (s *service) batches() [][]*member {
	size := s.Update.Parallelism
	if size <= 0 || s.rollout.shared {
		size = len(s.rollout.members)
	}
	return slices.Collect(slices.Chunk(s.rollout.members, size))
}

// rollOut makes the new containers and makes place for them.
func (u *up) rollOut(s *service) {
	if s.rollout == nil {
		return
	}
	if port := u.movingPort(s); port != "" {
		u.note("service %s is updated all at once, each container stopped before its successor starts: port %s of the host moves from one container to another", s.Name, port)
		for _, m := range s.rollout.members {
			u.takePlace(s, m, u.beside(s, m))
		}
		s.rollout = nil
		return
	}
	batches, noted := s.batches(), false
	if s.rollout.shared = u.isShared(s); s.rollout.shared && len(batches) > 1 {
		u.note("service %s is updated all at once: others use the namespaces or volumes of its containers", s.Name)
		batches = s.batches()
	}
	for i, batch := range batches {
		for _, m := range batch {
			order, why := u.order(s, m)
			if why != "" && !noted {
				u.note("service %s is updated stop-first, not start-first: %s", s.Name, why)
				noted = true
			}
			m.before.Update, m.before.Order = s.Name, order
			m.made = u.beside(s, m, s.behindBatch(i-1, len(batches))...)
			u.takePlace(s, m, m.made)
		}
	}
}

// behindBatch are the operations after which the batch is over and another one may begin.
func (s *service) behindBatch(i, of int) []string {
	switch {
	case i < 0:
		return nil
	case s.Update.Delay > 0:
		return []string{operationID(delayVerb("", s.Update, i+1, of), Service, s.Name)}
	}
	return []string{operationID(gateVerb("", i, of), Service, s.Name)}
}

// gateVerb and delayVerb are of the batch with this index, of an update or of what comes before the service's name.
func gateVerb(what string, i, of int) string {
	return fmt.Sprintf("end batch %d of %d of%s", i+1, of, what)
}

func delayVerb(what string, how *desired.Update, i, of int) string {
	return fmt.Sprintf("wait %s before batch %d of %d of%s", how.Delay, i+1, of, what)
}

// startsFirst says that the member starts under its temporary name.
func (m *member) startsFirst() bool {
	return m.before != nil && m.before.Order == desired.StartFirst
}

// rolls says that the member is part of an update by update_config.
func (m *member) rolls() bool { return m.before != nil && m.before.Update != "" }

// rollIn goes on after the start of the member's new container, which must prove itself. await is what the service waits for
// before it starts: without that, the old container had better run on.
func (u *up) rollIn(s *service, m *member, ref, name string, await Header) {
	last := u.prove(proof{s.Name, ref, name, healthOf(m), s.Update.Monitor, "update", true}, m.start)
	switch {
	case m.startsFirst():
		h := u.headOf(m.stopped)
		h.Needs = append(h.Needs, last)
		last = m.ready[0]
	case m.stopped != "" && !s.rollout.shared:
		h := u.headOf(m.stopped)
		h.Needs, h.After = append(h.Needs, await.Needs...), append(h.After, await.After...)
	}
	m.before.End, m.start = last, last
}

// health says whether a container has a health check.
type health int

const (
	maybe health = iota // if its image has one
	always
	never
)

func healthOf(m *member) health {
	check := m.Config.Config.Healthcheck
	switch {
	case check == nil || len(check.Test) == 0:
		return maybe
	case check.Test[0] == "NONE":
		return never
	}
	return always
}

// proof is what a container that has started goes through before the next batch begins.
type proof struct {
	service, ref, name string
	health             health
	monitor            time.Duration
	goesOn             string // what does so when it is healthy
	made               bool   // the container was, for this; else it is one that has worked before
}

// prove adds the wait for the container's health and the watch over it, behind the operation, and returns the last one.
func (b *builder) prove(p proof, last string) string {
	subject := Subject{Container, p.name}
	if p.health != never {
		op := &WaitHealthy{Header: header(p.service), Container: p.ref, IfAny: p.health == maybe, Proof: p.made}
		last = b.add("check the health of", op, subject, "the "+p.goesOn+" goes on when it is healthy", nonEmpty(last)...)
	}
	if p.monitor > 0 {
		op := &MonitorContainer{Header: header(p.service), Container: p.ref, For: p.monitor}
		last = b.add("watch", op, subject, "it must not fail for "+p.monitor.String(), nonEmpty(last)...)
	}
	return last
}

// endRollout adds the gates behind the batches and the removal of the old containers.
func (u *up) endRollout(s *service) {
	if s.rollout == nil {
		return
	}
	batches, gate := s.batches(), ""
	for i, batch := range batches {
		var ends []string
		for _, m := range batch {
			ends = append(ends, m.before.End)
		}
		if i > 0 && s.Update.Delay > 0 {
			u.delay("", s.Name, s.Update, i, len(batches), gate)
		}
		gate = u.endBatch("", s.Name, s.Update, ends, gateOf{i, len(batches), len(s.rollout.members), gate})
	}
	u.ops[gate].(*Gate).Update = &Rollout{OnFailure: s.Update.OnFailure, Rollback: s.wayBack()}
	for _, m := range s.rollout.members {
		u.remove(*m.now, u.options.RenewVolumes, "the update of "+s.Name+" is complete", gate, m.before.End)
	}
}

// wayBack is how old containers are brought back: as rollback_config says, else as they were replaced, but without waiting and
// whatever fails.
func (s *service) wayBack() desired.Update {
	if s.Rollback != nil {
		return *s.Rollback
	}
	return desired.Update{Order: s.Update.Order, Parallelism: s.Update.Parallelism, OnFailure: desired.FailureContinue}
}

// gateOf is which gate of a row of batches is meant.
type gateOf struct {
	index, batches, containers int
	before                     string // the gate before it
}

// endBatch adds the gate behind the operations that end a batch.
func (b *builder) endBatch(what, service string, how *desired.Update, ends []string, g gateOf) string {
	may := how.MayFail(g.containers)
	cause := fmt.Sprintf("at most %d of %d may fail", may, g.containers)
	if how.OnFailure == desired.FailureContinue {
		cause = "it goes on whatever fails"
	}
	op := &Gate{Header: Header{Service: service, After: slices.Clone(ends)}, Of: ends, MayFail: may}
	if g.before != "" {
		op.Of = append(op.Of, g.before)
	}
	return b.add(gateVerb(what, g.index, g.batches), op, Subject{Service, service}, cause, nonEmpty(g.before)...)
}

// delay adds the pause before the batch with this index.
func (b *builder) delay(what, service string, how *desired.Update, i, of int, gate string) string {
	return b.add(delayVerb(what, how, i, of), &Delay{Header: header(service), For: how.Delay}, Subject{Service, service}, "", gate)
}

// updateWithoutGap is the last gate of the service's update if its containers start first, else "".
func (s *service) updateWithoutGap() string {
	if s.rollout == nil || !slices.ContainsFunc(s.rollout.members, (*member).startsFirst) {
		return ""
	}
	n := len(s.batches())
	return operationID(gateVerb("", n-1, n), Service, s.Name)
}

// restartsEarly says that the service has to stop before something else does that it depends on, or that it makes place for a
// volume or gives up a port, so that it cannot wait for the end of an update: that may wait for the other thing.
func (u *up) restartsEarly(s *service) bool {
	stops := func(m *member) bool { return m.stopped != "" }
	evicted := func(m *member) bool { return stops(m) && m.now == nil }
	return slices.ContainsFunc(s.members, evicted) || u.portForOthers(s) != "" || slices.ContainsFunc(s.DependsOn, func(dep desired.Dependency) bool {
		other := u.services[dep.Service]
		return dep.Restart && other != nil && other.updateWithoutGap() == "" && slices.ContainsFunc(other.members, stops)
	})
}

// preStartBatches puts the service's pre_start hooks in front of what starts. Of an update, those that are for the service run
// in front of the first batch, and no other one begins without them.
func (u *up) preStartBatches(s *service, starting []newcomer) {
	image := func(hook *desired.PreStart) string { return s.hookImage[hook.Image] }
	first, later := s.splitBatches(starting)
	u.preStart(s.Service, first, s.runs(), image)
	for _, batch := range later {
		u.preStart(s.Service, batch, true, image)
		for i, hook := range s.PreStart {
			wait := u.ops[operationID(hookWait, Container, hookName(first[0].name, i))]
			if wait == nil || hook.PerReplica {
				continue
			}
			for _, n := range batch {
				made := u.ops[operationID("create", Container, temporaryOf(n))].Head()
				made.Needs = append(made.Needs, wait.Head().ID)
			}
		}
	}
}

// temporaryOf is what the newcomer is called when it is made.
func temporaryOf(n newcomer) string { return n.start.Replaces.Temporary }

// splitBatches are those that start at first, and the later batches of an update.
func (s *service) splitBatches(starting []newcomer) (first []newcomer, later [][]newcomer) {
	if s.rollout == nil {
		return starting, nil
	}
	batch := make(map[string]int) // of members, by name
	batches := s.batches()
	for i, members := range batches {
		for _, m := range members {
			batch[m.Name] = i
		}
	}
	later = make([][]newcomer, len(batches)-1)
	for _, n := range starting {
		if i := batch[n.name]; i > 0 {
			later[i-1] = append(later[i-1], n)
		} else {
			first = append(first, n)
		}
	}
	return first, later
}
