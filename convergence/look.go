package convergence

import (
	"context"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// Look says whether a project is as desired, without doing anything: in which services and resources it differs, one line for
// each, and what its containers are waiting for. Services that people have stopped may be as they are. What only a provider or
// a model runner can tell is left out.
func Look(ctx context.Context, e observe.Engine, d *desired.Project, stopped []string, o plan.UpOptions) (differs, waits []string, err error) {
	d = without(d, stopped)
	s, err := observe.Project(ctx, e, d.Name, d)
	if err != nil {
		return nil, nil, err
	}
	o.Touched, o.Fetched = make(map[string]bool), make(map[string]bool)
	for _, c := range s.Containers {
		o.Touched[c.Name] = c.Status == state.Paused || c.Status == state.Exited && c.ExitCode == 0
	}
	for ref := range d.Images() {
		o.Fetched[ref] = true // a newer one elsewhere is no difference here
	}
	p, err := plan.Up(d, s, o)
	if err != nil {
		return nil, nil, err
	}
	return differences(p), waiting(d, s), nil
}

// differences are the first causes of what a plan does, by service, or by subject where it is about none.
func differences(p *plan.Plan) []string {
	var out []string
	seen := make(map[string]bool)
	for _, op := range p.Operations {
		switch op.(type) {
		case *plan.RunProvider, *plan.ServeModel, *plan.WaitHealthy, *plan.WaitCompleted, *plan.Gate:
			continue
		}
		h := op.Head()
		what := h.Service
		if what == "" {
			what = h.Subject.Name
		}
		if seen[what] || h.Cause == "" {
			continue
		}
		seen[what] = true
		out = append(out, what+": "+h.Cause)
	}
	return out
}

// waiting says which containers of the project's services have not become what they are to be yet.
func waiting(d *desired.Project, s *state.Project) []string {
	var out []string
	for i := range d.Services {
		for _, c := range s.Of(d.Services[i].Name) {
			switch {
			case c.Status == state.Restarting:
				out = append(out, c.Name+" is about to be restarted")
			case c.Status == state.Paused:
				out = append(out, c.Name+" is paused")
			case c.Health == state.Starting:
				out = append(out, c.Name+" is to become healthy")
			case c.Health == state.Unhealthy:
				out = append(out, c.Name+" is unhealthy and is to recover")
			}
		}
	}
	return out
}
