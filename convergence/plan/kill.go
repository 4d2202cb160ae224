package plan

import (
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// KillAndClear is Kill, and removes the containers of services that the project no longer has. Without a Compose file, when d
// is nil, nobody knows which those are.
func KillAndClear(d *desired.Project, s *state.Project, o LifecycleOptions) (*Plan, error) {
	kills, err := Kill(s, o)
	if err != nil || d == nil {
		return kills, err
	}
	b := newBuilder(d, s)
	for _, op := range kills.Operations {
		h := op.Head()
		b.add("kill", op, h.Subject, h.Cause)
	}
	for _, c := range b.orphans() {
		op := &RemoveContainer{Header: header(c.Service), Container: c.ID, Force: true}
		kill := operationID("kill", Container, c.Name)
		if b.ops[kill] == nil {
			kill = ""
		}
		b.add("remove", op, Subject{Container, c.Name}, "the project no longer has the service", kill)
	}
	return b.plan.sort(), nil
}
