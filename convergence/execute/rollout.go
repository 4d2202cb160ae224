package execute

import (
	"context"

	"stackrun.dev/stack/convergence/plan"
)

// gate is passed when no more of its operations have failed than may.
func (x *executor) gate(*plan.Gate) error { return nil }

// monitor watches a container that has just started.
func (x *executor) monitor(context.Context, *plan.MonitorContainer) error { return nil }

// delay lets time pass.
func (x *executor) delay(ctx context.Context, op *plan.Delay) error {
	sleep(ctx, nil, op.For)
	return ctx.Err()
}
