// Package model is an engine as values: it says what each operation of a plan makes of a state.Project, without calls, without
// a clock and within microseconds, so that properties of plans can be tried on very many projects. What it refuses, an engine
// refuses. That it does what engines do is shown by playing the same histories on it and on engine/memory.
//
// It also makes up projects at random (Wish), and what people and accidents do to them (Disturb).
package model

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// World is an engine that has one project, and what surrounds it.
type World struct {
	State *state.Project

	// IDs makes IDs for what is created.
	IDs func() string

	// Remote are the IDs of images that can be pulled and built, by reference. Others cannot.
	Remote map[string]string

	// Bare says that the engine adds nothing to what a container is made with, as the one in memory and unlike Docker.
	Bare bool

	// Before is told each operation before it is carried out. May be nil.
	Before func(plan.Operation)

	seconds int64           // of the clock; each start and each creation takes one
	made    map[string]made // by the container's ID

	adjusted map[string]adjusted // likewise
}

// made is what a container was made with, as far as it decides what the engine does later. It is not changed.
type made struct {
	ports   []string // of the host, that it publishes when it runs
	health  bool     // it has a health check
	volumes []string // names of the volumes that it mounts
	takes   string   // ID of the container from which it takes ports over
	joins   []string // names of the containers whose namespaces it enters at each start
	ends    bool     // its command ends with 0 by itself: when somebody waits for it, or in Settle
}

// New makes a world without containers. ids may be nil.
func New(name string, ids func() string) *World {
	w := &World{
		State: &state.Project{Name: name, Networks: map[string]state.Network{}, Volumes: map[string]state.Volume{}, Images: map[string]state.Image{}},
		IDs:   ids, Remote: map[string]string{}, made: map[string]made{}, adjusted: map[string]adjusted{},
	}
	if ids == nil {
		w.IDs = Serial()
	}
	return w
}

// Clone is a world of its own in the same state. They share what is not changed, and IDs and Before.
func (w *World) Clone() *World {
	own := *w
	s := *w.State
	s.Containers = slices.Clone(s.Containers)
	s.Networks, s.Volumes, s.Images = maps.Clone(s.Networks), maps.Clone(s.Volumes), maps.Clone(s.Images)
	own.State, own.made, own.adjusted = &s, maps.Clone(w.made), maps.Clone(w.adjusted)
	return &own
}

// Settle is the time that passes between two runs: health checks have an outcome, and work is completed.
func (w *World) Settle() {
	for i := range w.State.Containers {
		c := &w.State.Containers[i]
		if c.Status == state.Running && c.Health == state.Starting {
			c.Health = state.Healthy
		}
		if c.Status == state.Running && w.made[c.ID].ends {
			w.exit(c, 0)
		}
	}
	w.sort()
}

func (w *World) exit(c *state.Container, code int) {
	c.Status, c.ExitCode, c.Health, c.Ports = state.Exited, code, state.NoHealth, nil
}

// sort puts the containers into the order that state.Project promises.
func (w *World) sort() {
	slices.SortFunc(w.State.Containers, func(a, b state.Container) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	})
}

func (w *World) now() time.Time {
	w.seconds++
	return time.Unix(w.seconds, 0).UTC()
}

// Find returns the container with the ID or the name, or nil.
func (w *World) Find(ref string) *state.Container {
	for i := range w.State.Containers {
		if c := &w.State.Containers[i]; c.ID == ref || c.Name == ref {
			return c
		}
	}
	return nil
}

func (w *World) container(ref string) (*state.Container, error) {
	if c := w.Find(ref); c != nil {
		return c, nil
	}
	return nil, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
}

// Do carries out one operation.
func (w *World) Do(op plan.Operation) error {
	if w.Before != nil {
		w.Before(op)
	}
	switch op := op.(type) {
	case *plan.PullImage:
		return w.fetch(op.Ref)
	case *plan.BuildImage:
		return w.fetch(op.Ref)
	case *plan.RemoveImage:
		delete(w.State.Images, op.Ref)
		return nil
	case *plan.CreateNetwork, *plan.RemoveNetwork, *plan.ConnectNetwork, *plan.DisconnectNetwork, *plan.CreateVolume, *plan.RemoveVolume:
		return w.doResource(op)
	case *plan.WaitHealthy:
		return w.waitHealthy(op)
	case *plan.WaitCompleted:
		return w.waitCompleted(op)
	case *plan.MonitorContainer:
		return w.running(op.Container)
	case *plan.RunProvider, *plan.ServeModel, *plan.Gate, *plan.Delay:
		return nil
	default:
		return w.doContainer(op)
	}
}

// fetch pulls or builds an image.
func (w *World) fetch(ref string) error {
	id, ok := w.Remote[ref]
	if !ok {
		return engine.Errorf(engine.ErrNotFound, "nobody has the image %s", ref)
	}
	w.State.Images[ref] = state.Image{ID: id}
	return nil
}

func (w *World) running(ref string) error {
	c, err := w.container(ref)
	if err == nil && c.Status != state.Running {
		err = engine.Errorf(engine.ErrConflict, "container %s is %s", c.Name, c.Status)
	}
	return err
}

func (w *World) waitHealthy(op *plan.WaitHealthy) error {
	c, err := w.container(op.Container)
	switch {
	case err != nil:
		return err
	case c.Status == state.Exited && c.ExitCode == 0 && op.OrExited:
		return nil
	case c.Status != state.Running:
		return engine.Errorf(engine.ErrConflict, "container %s is %s", c.Name, c.Status)
	case w.made[c.ID].health:
		c.Health = state.Healthy
		return nil
	case op.OrExited || op.IfAny:
		return nil
	}
	return engine.Errorf(engine.ErrInvalid, "container %s has no health check", c.Name)
}

func (w *World) waitCompleted(op *plan.WaitCompleted) error {
	c, err := w.container(op.Container)
	switch {
	case err != nil:
		return err
	case c.Status == state.Running && w.made[c.ID].ends:
		w.exit(c, 0)
		return nil
	case c.Status == state.Exited && c.ExitCode == 0:
		return nil
	}
	return engine.Errorf(engine.ErrConflict, "container %s does not complete: %s (%d)", c.Name, c.Status, c.ExitCode)
}

// given is what a provider or a model runner says when the operation is over.
func given(op plan.Operation) desired.Given {
	switch op := op.(type) {
	case *plan.RunProvider:
		told := map[string]string{"URL": "http://" + op.Service}
		return desired.Given{Variables: map[string]desired.Variables{op.Service: {Prefixed: told}}}
	case *plan.ServeModel:
		return desired.Given{Endpoints: map[string]string{op.Model.Key: "http://model"}}
	}
	return desired.Given{}
}
