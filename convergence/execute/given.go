package execute

import (
	"context"

	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// provide runs a provider's program and keeps the variables that it gives.
func (x *executor) provide(ctx context.Context, op *plan.RunProvider) error {
	if x.options.Provide == nil {
		return engine.Errorf(engine.ErrUnsupported, "cannot run the provider of service %s: there is nothing to run programs with", op.Service)
	}
	variables, err := x.options.Provide(ctx, op, x.say(op))
	if err != nil || op.Do != plan.ProviderUp {
		return err
	}
	x.given(desired.Given{Variables: map[string]desired.Variables{op.Service: variables}})
	return nil
}

// serve has a model served and keeps its address.
func (x *executor) serve(ctx context.Context, op *plan.ServeModel) error {
	if x.options.Serve == nil {
		return engine.Errorf(engine.ErrUnsupported, "cannot serve model %s: there is nothing to run programs with", op.Model.Key)
	}
	endpoint, err := x.options.Serve(ctx, op, x.say(op))
	if err != nil {
		return err
	}
	x.given(desired.Given{Endpoints: map[string]string{op.Model.Key: endpoint}})
	return nil
}

// say passes on how a program says that it goes on.
func (x *executor) say(op plan.Operation) func(string) {
	return func(text string) { x.progress(op)(jsonmessage.JSONMessage{Status: text}) }
}

func (x *executor) given(g desired.Given) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Given = x.result.Given.Merge(g)
}
