package execute

import (
	"context"

	"stackrun.dev/stack/convergence/plan"
)

// update changes what can be changed of a container that goes on as it is.
func (x *executor) update(ctx context.Context, op *plan.UpdateContainer) error {
	_, err := x.engine.ContainerUpdate(ctx, op.Container, op.Config)
	return err
}
