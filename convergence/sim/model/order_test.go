package model

import (
	"fmt"
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// order watches a run: whatever starts finds what it depends on as it needs it, and what is stopped for a restart or a
// replacement is stopped after those who depend on that.
type order struct {
	*situation
	world *World
	plan  *plan.Plan
	err   error

	stopped map[string]bool // IDs of containers that it has stopped
}

func (o *order) see(op plan.Operation) {
	var err error
	switch op := op.(type) {
	case *plan.StartContainer:
		err = o.dependenciesAreUp(op)
	case *plan.StopContainer:
		err = o.dependentsAreDown(op)
		o.stopped[op.Container] = true
	}
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%w\n%s", err, o.plan.Text())
	}
}

// begin is told the plan of each round.
func (o *order) begin(p *plan.Plan) {
	o.plan, o.stopped = p, make(map[string]bool)
}

// dependenciesAreUp looks at what the service of the container depends on.
func (o *order) dependenciesAreUp(op *plan.StartContainer) error {
	s := o.desired.Service(op.Service)
	if s == nil || o.options.NoStart {
		return nil
	}
	for _, dep := range s.DependsOn {
		if !o.selected(dep.Service) {
			continue
		}
		for _, want := range o.desired.Service(dep.Service).Containers {
			if err := o.reached(want, dep); err != nil {
				return fmt.Errorf("%q too early: %w", op.ID, err)
			}
		}
	}
	return nil
}

func (o *order) reached(want desired.Container, dep desired.Dependency) error {
	is := o.world.Find(want.Name)
	if is == nil {
		is = o.renamed(want, dep.Service)
	}
	ended := is != nil && o.world.made[is.ID].ends && is.Status == state.Exited && is.ExitCode == 0
	switch {
	case is == nil:
		return fmt.Errorf("%s is not there", want.Name)
	case is.Status != state.Running && !ended:
		return fmt.Errorf("%s is %s", want.Name, is.Status)
	case dep.Condition == desired.Completed && !ended:
		return fmt.Errorf("%s has not completed", want.Name)
	case dep.Condition == desired.Healthy && !ended && is.Health != state.Healthy:
		return fmt.Errorf("%s is not healthy", want.Name)
	}
	return nil
}

// renamed is the container if it only has another name for the time being.
func (o *order) renamed(want desired.Container, service string) *state.Container {
	for _, c := range o.world.State.Containers { // not sorted while a plan is carried out
		if was := o.before.Find(c.ID); was != nil && c.Service == service && was.Name != want.Name && c.Number == want.Number && o.replaced(c.ID) == nil {
			return o.world.Find(c.ID)
		}
	}
	return nil
}

// dependentsAreDown looks at who depends on the container with restart: true, and is restarted for that.
func (o *order) dependentsAreDown(op *plan.StopContainer) error {
	if replaced := o.replaced(op.Container); replaced == nil || o.withoutGap(replaced.Update) {
		return nil
	}
	for _, s := range o.desired.Services {
		for _, dep := range s.DependsOn {
			if dep.Service != op.Service || !dep.Restart || o.awaitsUpdate(s) {
				continue
			}
			for _, later := range o.plan.Operations {
				stop, ok := later.(*plan.StopContainer)
				if ok && stop.Service == s.Name && !o.stopped[stop.Container] && o.restarted(stop.Container) {
					return fmt.Errorf("%q before %q", op.ID, stop.ID)
				}
			}
		}
	}
	return nil
}

// withoutGap says that a container of the update starts before the one in whose place it comes is stopped: then those who
// depend on them are restarted when the update is over.
func (o *order) withoutGap(update string) bool {
	for _, op := range o.plan.Operations {
		if start, ok := op.(*plan.StartContainer); ok && update != "" && start.Replaces != nil && start.Replaces.Update == update && start.Replaces.Order == desired.StartFirst {
			return true
		}
	}
	return false
}

// awaitsUpdate says that a service on which this one depends is updated without a gap.
func (o *order) awaitsUpdate(s desired.Service) bool {
	return slices.ContainsFunc(s.DependsOn, func(dep desired.Dependency) bool { return dep.Restart && o.withoutGap(dep.Service) })
}

// restarted says that the plan stops the container only to start it again.
func (o *order) restarted(id string) bool {
	replaced := o.replaced(id)
	return replaced != nil && replaced.Temporary == ""
}

// replaced is what the plan starts the container, or another one in its place, again after; or nil.
func (o *order) replaced(id string) *plan.Replaced {
	for _, op := range o.plan.Operations {
		if start, ok := op.(*plan.StartContainer); ok && start.Replaces != nil && start.Replaces.Container == id {
			return start.Replaces
		}
	}
	return nil
}
