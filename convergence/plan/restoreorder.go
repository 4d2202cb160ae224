package plan

import "slices"

// orderStarts makes what is brought back start in the order in which the plan would have started what was to replace it: who
// lives in another one's namespaces cannot start before it, and who depends on it should not. Starts of one service have their
// order already, that of the way back of an update.
func (b *builder) orderStarts(p *Plan) {
	back := make(map[string]string) // IDs of the starts that bring something back, by those of the plan
	for _, op := range p.Operations {
		start, ok := op.(*StartContainer)
		if !ok || start.Replaces == nil {
			continue
		}
		if id := operationID("start", Container, start.Replaces.Name); b.ops[id] != nil {
			back[start.ID] = id
		}
	}
	if len(back) < 2 {
		return
	}
	upstream := make(map[string][]string, len(p.Operations)) // the nearest ones before an operation
	for _, op := range p.Operations {                        // which come after everything that they wait for
		h := op.Head()
		var before []string
		for _, id := range slices.Concat(h.Needs, h.After) {
			if start, ok := back[id]; ok {
				before = append(before, start)
			} else {
				before = append(before, upstream[id]...)
			}
		}
		slices.Sort(before)
		before = slices.Compact(before)
		upstream[h.ID] = before
		if start, ok := back[h.ID]; ok {
			b.startAfter(start, before)
		}
	}
}

// startAfter makes the start come after those of other services.
func (b *builder) startAfter(start string, others []string) {
	h := b.headOf(start)
	for _, id := range others {
		if other := b.ops[id].Head(); other.Service != h.Service {
			h.After = append(h.After, id)
		}
	}
}
