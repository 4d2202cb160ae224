package execute

import (
	"context"
	"time"

	"stackrun.dev/stack/convergence/plan"
)

// update changes what can be changed of a container that goes on as it is. What the engine does not know, it says.
func (x *executor) update(ctx context.Context, op *plan.UpdateContainer) error {
	x.mu.Lock()
	x.result.Updated[op.Subject.Name] = true
	x.mu.Unlock()
	made, err := x.engine.ContainerUpdate(ctx, op.Container, op.Config)
	for _, note := range made.Warnings {
		x.tell(Event{Operation: op, Phase: Noted, At: time.Now(), Note: note})
	}
	return err
}
