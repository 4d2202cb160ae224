package execute

import "stackrun.dev/stack/convergence/plan"

// dispensable says that a wait may fail: all who come after it start all the same, and the user does not wait for it.
func (x *executor) dispensable(op plan.Operation) bool {
	if x.needed[op.Head().ID] {
		return false
	}
	switch op := op.(type) {
	case *plan.WaitHealthy:
		return op.Optional && !op.OrExited
	case *plan.WaitCompleted:
		return op.Optional
	}
	return false
}
