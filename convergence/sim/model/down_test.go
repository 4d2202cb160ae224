package model

import (
	"fmt"

	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// down: taking the project down stops dependents first, and removes what was asked for and nothing else.
func (c *situation) down(x *World) error {
	if !one(c.rnd, 3) {
		return nil
	}
	gone := x.Clone()
	o := plan.DownOptions{RemoveOrphans: one(c.rnd, 2)}
	o.Volumes = o.RemoveOrphans && one(c.rnd, 2) // orphans may use them
	p := plan.Down(c.desired, gone.State, o)
	var wrong error
	gone.Before = func(op plan.Operation) {
		if stop, ok := op.(*plan.StopContainer); ok && wrong == nil {
			wrong = c.stopsLast(gone, stop)
		}
	}
	if out := gone.Run(p, Course{Order: c.rnd}); out.Err != nil {
		return fmt.Errorf("down: %w\n%s", out.Err, p.Text())
	}
	if wrong != nil {
		return fmt.Errorf("%w\n%s", wrong, p.Text())
	}
	for _, left := range gone.State.Containers {
		orphan := c.desired.Service(left.Service) == nil && !has(c.desired.Disabled, left.Service)
		if !orphan || o.RemoveOrphans {
			return fmt.Errorf("down has left %s\n%s", left.Name, p.Text())
		}
	}
	for _, was := range x.State.Containers {
		orphan := c.desired.Service(was.Service) == nil && !has(c.desired.Disabled, was.Service)
		if orphan && !o.RemoveOrphans && gone.Find(was.ID) == nil {
			return fmt.Errorf("down has removed the orphan %s\n%s", was.Name, p.Text())
		}
	}
	for name, v := range x.State.Volumes {
		if _, there := gone.State.Volumes[name]; !there && v.Project == "x" && !o.Volumes {
			return fmt.Errorf("down has removed volume %s\n%s", name, p.Text())
		}
	}
	return nil
}

// stopsLast: whoever depends on the container is stopped already.
func (c *situation) stopsLast(x *World, stop *plan.StopContainer) error {
	for _, s := range c.desired.Services {
		for _, dep := range s.DependsOn {
			for _, other := range x.State.Containers {
				if dep.Service == stop.Service && other.Service == s.Name && other.Status != state.Exited && other.Status.Alive() {
					return fmt.Errorf("%q while %s runs, which needs it", stop.ID, other.Name)
				}
			}
		}
	}
	return nil
}
