package model

import (
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

func (w *World) doResource(op plan.Operation) error {
	switch op := op.(type) {
	case *plan.CreateNetwork:
		return w.createNetwork(op)
	case *plan.RemoveNetwork:
		return w.removeNetwork(op.Ref)
	case *plan.ConnectNetwork:
		return w.connect(op)
	case *plan.DisconnectNetwork:
		return w.disconnect(op)
	case *plan.CreateVolume:
		w.createVolume(op)
	case *plan.RemoveVolume:
		if w.mounted(op.Name) {
			return engine.Errorf(engine.ErrConflict, "volume %s is in use", op.Name)
		}
		delete(w.State.Volumes, op.Name)
	}
	return nil
}

func (w *World) createNetwork(op *plan.CreateNetwork) error {
	if _, there := w.State.Networks[op.Name]; there {
		return engine.Errorf(engine.ErrConflict, "there is a network %s", op.Name)
	}
	labels := op.Options.Labels
	w.State.Networks[op.Name] = state.Network{
		ID: w.IDs(), Name: op.Name, Project: labels[desired.LabelProject], Key: labels[desired.LabelNetwork],
		Hash: labels[desired.LabelHash], Config: labels[desired.LabelConfig], Made: op.Options,
	}
	return nil
}

func (w *World) network(ref string) (state.Network, error) {
	if n, there := w.State.Networks[ref]; there {
		return n, nil
	}
	for _, n := range w.State.Networks {
		if n.ID == ref {
			return n, nil
		}
	}
	return state.Network{}, engine.Errorf(engine.ErrNotFound, "no such network: %s", ref)
}

func (w *World) removeNetwork(ref string) error {
	n, err := w.network(ref)
	if err != nil {
		return nil //nolint:nilerr // it is gone already
	}
	for _, c := range w.State.Containers {
		if c.On(n.Name) && c.Status.Alive() {
			return engine.Errorf(engine.ErrConflict, "network %s is in use by %s", n.Name, c.Name)
		}
	}
	delete(w.State.Networks, n.Name)
	return nil
}

func (w *World) connect(op *plan.ConnectNetwork) error {
	c, err := w.container(op.Container)
	if err != nil {
		return err
	}
	n, err := w.network(op.Network)
	if err != nil {
		return err
	}
	if c.On(n.Name) {
		return engine.Errorf(engine.ErrConflict, "%s is on network %s", c.Name, n.Name)
	}
	c.Networks = append(slices.Clone(c.Networks), n.Name)
	slices.Sort(c.Networks)
	w.connected(c, n.Name, op.Settings)
	return nil
}

func (w *World) disconnect(op *plan.DisconnectNetwork) error {
	c, err := w.container(op.Container)
	if err != nil {
		return nil //nolint:nilerr // it is gone already
	}
	name := op.Network
	if n, err := w.network(op.Network); err == nil {
		name = n.Name
	}
	c.Networks = slices.DeleteFunc(slices.Clone(c.Networks), func(on string) bool { return on == name })
	w.disconnected(c, name)
	return nil
}

// createVolume makes a volume, unless there is one of that name.
func (w *World) createVolume(op *plan.CreateVolume) {
	name, labels := op.Options.Name, op.Options.Labels
	if _, there := w.State.Volumes[name]; there {
		return
	}
	w.State.Volumes[name] = state.Volume{
		Name: name, Project: labels[desired.LabelProject], Key: labels[desired.LabelVolume],
		Hash: labels[desired.LabelHash], Config: labels[desired.LabelConfig],
	}
}
