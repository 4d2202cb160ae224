package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

func (w *World) doContainer(op plan.Operation) error {
	switch op := op.(type) {
	case *plan.CreateContainer:
		return w.create(op)
	case *plan.CopyFiles:
		return w.notRunning(op.Container)
	case *plan.RenameContainer:
		return w.rename(op)
	case *plan.UpdateContainer:
		return w.update(op)
	case *plan.StartContainer:
		return w.start(op.Container)
	case *plan.StopContainer:
		return w.stop(op.Container)
	case *plan.RestartContainer:
		if err := w.stop(op.Container); err != nil {
			return err
		}
		return w.start(op.Container)
	case *plan.KillContainer:
		return w.stop(op.Container)
	case *plan.PauseContainer:
		return w.turn(op.Container, state.Running, state.Paused)
	case *plan.UnpauseContainer:
		return w.turn(op.Container, state.Paused, state.Running)
	case *plan.RemoveContainer:
		return w.remove(op)
	case *plan.RunHook:
		return w.runHook(op)
	}
	return engine.Errorf(engine.ErrInternal, "the model does not know %s", plan.KindOf(op))
}

// Serial hands out IDs in the form of an engine's, always the same ones.
func Serial() func() string {
	n := 0
	return func() string {
		n++
		return fmt.Sprintf("%012x%052d", n, 0)
	}
}

var packed sync.Map // settings as they are packed for a label, by their hash: packing takes longer than all else

func pack(c *plan.CreateContainer, hash string) string {
	if c.Settings == nil {
		return ""
	}
	if text, ok := packed.Load(hash); ok {
		return text.(string)
	}
	text := c.Settings.Pack()
	packed.Store(hash, text)
	return text
}

func (w *World) create(op *plan.CreateContainer) error {
	labels, host := op.Config.Config.Labels, op.Config.Host
	if w.Find(op.Name) != nil {
		return engine.Errorf(engine.ErrConflict, "the name %s is taken", op.Name)
	}
	image, there := w.State.Images[op.Config.Config.Image]
	if !there {
		return engine.Errorf(engine.ErrNotFound, "no such image: %s", op.Config.Config.Image)
	}
	number, _ := strconv.Atoi(labels[desired.LabelNumber])
	c := state.Container{
		ID: w.IDs(), Name: op.Name, Service: labels[desired.LabelService], Number: number,
		OneOff: labels[desired.LabelOneOff] == "True", Hook: labels[desired.LabelHook],
		Image: op.Config.Config.Image, ImageID: cmp.Or(op.ImageID, image.ID),
		Status: state.Created, Hash: labels[desired.LabelHash], Config: pack(op, labels[desired.LabelHash]),
		ComposeHash: labels[desired.LabelConfigHash], DependsOn: services(labels[desired.LabelDependsOn]), Created: w.now(),
	}
	w.created(&c, op)
	m := made{takes: labels[desired.LabelTakesOver], ends: slices.Equal(op.Config.Config.Cmd, []string{"true"})}
	if h := op.Config.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		m.health = true
	}
	for _, bindings := range host.PortBindings {
		for _, b := range bindings {
			if b.HostPort != "" {
				m.ports = append(m.ports, b.HostPort)
			}
		}
	}
	slices.Sort(m.ports)
	if err := w.attach(&c, op); err != nil {
		return err
	}
	if err := w.join(&c, &m, host); err != nil {
		return err
	}
	if !c.OneOff {
		c.Joins = m.joins
	}
	if err := w.mount(&c, &m, host.Mounts); err != nil {
		return err
	}
	w.State.Containers = append(w.State.Containers, c)
	w.made[c.ID] = m
	return nil
}

func services(label string) []string {
	var out []string
	for part := range strings.SplitSeq(label, ",") {
		if name, _, _ := strings.Cut(part, ":"); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// attach puts a new container on its networks.
func (w *World) attach(c *state.Container, op *plan.CreateContainer) error {
	if op.Config.Networking == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(op.Config.Networking.EndpointsConfig)) {
		if _, there := w.State.Networks[name]; !there {
			return engine.Errorf(engine.ErrNotFound, "no such network: %s", name)
		}
		c.Networks = append(c.Networks, name)
	}
	return nil
}

// join finds the containers whose namespaces or volumes are entered. Namespaces stay those of the same container, whatever is
// called so later.
func (w *World) join(c *state.Container, m *made, host *container.HostConfig) error {
	for _, mode := range []string{string(host.NetworkMode), string(host.IpcMode), string(host.PidMode)} {
		name, ok := strings.CutPrefix(mode, "container:")
		if !ok {
			continue
		}
		other, err := w.container(name)
		if err != nil {
			return err
		}
		m.joins = append(m.joins, other.ID)
	}
	for _, from := range host.VolumesFrom {
		name, _, _ := strings.Cut(from, ":")
		other, err := w.container(name)
		if err != nil {
			return err
		}
		c.Anonymous = maps.Clone(other.Anonymous)
		m.volumes = append(m.volumes, w.made[other.ID].volumes...)
	}
	return nil
}

func (w *World) mount(c *state.Container, m *made, mounts []mount.Mount) error {
	for _, v := range mounts {
		if v.Type != mount.TypeVolume {
			continue
		}
		name := v.Source
		if name == "" {
			name = w.IDs()
			w.State.Volumes[name] = state.Volume{Name: name}
		}
		if _, there := w.State.Volumes[name]; !there {
			return engine.Errorf(engine.ErrNotFound, "no such volume: %s", name)
		}
		m.volumes = append(m.volumes, name)
		delete(c.Anonymous, v.Target)
		if len(name) == 64 {
			c.Anonymous = merged(c.Anonymous, map[string]string{v.Target: name})
		}
	}
	return nil
}

func (w *World) notRunning(ref string) error {
	c, err := w.container(ref)
	if err == nil && c.Status.Alive() {
		err = engine.Errorf(engine.ErrConflict, "container %s runs", c.Name)
	}
	return err
}

func (w *World) rename(op *plan.RenameContainer) error {
	c, err := w.container(op.Container)
	if err != nil {
		return err
	}
	if w.Find(op.Name) != nil {
		return engine.Errorf(engine.ErrConflict, "the name %s is taken", op.Name)
	}
	c.Name = op.Name
	return nil
}

// errOthers is why a container cannot start: it is frozen, another one has its port, or does not run whose namespaces it enters.
var errOthers = errors.New("others are in the way")

func (w *World) start(ref string) error {
	c, err := w.container(ref)
	switch {
	case err != nil:
		return err
	case c.Status == state.Running || c.Status == state.Restarting:
		return nil
	case c.Status != state.Created && c.Status != state.Exited:
		return fmt.Errorf("%w: container %s is %s", errOthers, c.Name, c.Status)
	}
	m := w.made[c.ID]
	for _, name := range c.Networks {
		if _, there := w.State.Networks[name]; !there {
			return engine.Errorf(engine.ErrNotFound, "no such network: %s", name)
		}
	}
	for _, id := range m.joins {
		if err := w.running(id); err != nil {
			return fmt.Errorf("%w: %w", errOthers, err)
		}
	}
	if holder := w.holder(c, m.ports); holder != nil {
		return fmt.Errorf("%w: %s holds a port of %s", errOthers, holder.Name, c.Name)
	}
	c.Status, c.ExitCode, c.StartedAt = state.Running, 0, w.now()
	if giver := w.Find(m.takes); giver == nil || !giver.Status.Alive() {
		c.Ports = m.ports // else they pass to it when that one stops
	}
	if m.health {
		c.Health = state.Starting
	}
	return nil
}

// holder is another container that holds one of the ports, or nil.
func (w *World) holder(c *state.Container, ports []string) *state.Container {
	for i := range w.State.Containers {
		other := &w.State.Containers[i]
		for _, port := range ports {
			mine := other.ID == c.ID || other.ID == w.made[c.ID].takes
			if !mine && slices.Contains(other.Ports, port) {
				return other
			}
		}
	}
	return nil
}

// terminated is how a process ends that is stopped and does not listen.
const terminated = 137

func (w *World) stop(ref string) error {
	if c := w.Find(ref); c != nil && c.Status.Alive() {
		w.exit(c, terminated)
		w.passOn(c.ID)
	}
	return nil
}

// passOn gives the ports of a container that has stopped to the one that takes its place, if that runs.
func (w *World) passOn(from string) {
	for i := range w.State.Containers {
		if c := &w.State.Containers[i]; w.made[c.ID].takes == from && c.Status.Alive() {
			c.Ports = w.made[c.ID].ports
		}
	}
}

func (w *World) turn(ref string, from, to state.Status) error {
	c, err := w.container(ref)
	switch {
	case err != nil:
		return err
	case c.Status != from:
		return engine.Errorf(engine.ErrConflict, "container %s is %s", c.Name, c.Status)
	}
	c.Status = to
	return nil
}

func (w *World) remove(op *plan.RemoveContainer) error {
	i := slices.IndexFunc(w.State.Containers, func(c state.Container) bool { return c.ID == op.Container || c.Name == op.Container })
	if i < 0 {
		return nil
	}
	c := w.State.Containers[i]
	if c.Status.Alive() && !op.Force {
		return engine.Errorf(engine.ErrConflict, "container %s runs", c.Name)
	}
	w.State.Containers = slices.Delete(w.State.Containers, i, i+1)
	if op.Volumes {
		for _, name := range c.Anonymous {
			if !w.mounted(name) {
				delete(w.State.Volumes, name)
			}
		}
	}
	return nil
}

// mounted says that a container mounts the volume.
func (w *World) mounted(volume string) bool {
	return slices.ContainsFunc(w.State.Containers, func(c state.Container) bool { return slices.Contains(w.made[c.ID].volumes, volume) })
}

func (w *World) runHook(op *plan.RunHook) error {
	c, err := w.container(op.Container)
	switch {
	case err != nil:
		return err
	case c.Status == state.Running, c.Status == state.Exited && op.OrExited:
		return nil
	}
	return engine.Errorf(engine.ErrConflict, "a hook cannot run in container %s, which is %s", c.Name, c.Status)
}
