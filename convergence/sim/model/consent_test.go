package model

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// consent: nothing is removed or stopped that nobody asked for.
func (c *situation) consent(p *plan.Plan) error {
	for _, op := range p.Operations {
		switch op := op.(type) {
		case *plan.RemoveVolume, *plan.RemoveImage, *plan.KillContainer, *plan.PauseContainer:
			return fmt.Errorf("nobody asked for %q", op.Head().ID)
		case *plan.RemoveNetwork:
			if n := c.network(op.Ref); n == nil || n.Project != "x" || !c.differs(n.Name) {
				return fmt.Errorf("%q, which does not differ", op.ID)
			}
		case *plan.RemoveContainer:
			hook := op.Force || c.isHook(op.Container)
			if op.Volumes && !c.options.RenewVolumes && !hook {
				return fmt.Errorf("%q takes volumes along", op.ID)
			}
			if err := c.mayEnd(op, op.Container); err != nil {
				return err
			}
		case *plan.StopContainer:
			if err := c.mayEnd(op, op.Container); err != nil {
				return err
			}
		case *plan.RenameContainer:
			if err := c.mayEnd(op, op.Container); err != nil {
				return err
			}
		}
	}
	return nil
}

// isHook says that the reference is to a container of a hook: one that was there, or that a plan makes.
func (c *situation) isHook(ref string) bool {
	now := c.before.Find(ref)
	return now != nil && now.Hook != "" || now == nil && len(ref) != 64
}

// mayEnd says whether the plan may do something to the container that was there.
func (c *situation) mayEnd(op plan.Operation, ref string) error {
	now := c.before.Find(ref)
	if now == nil {
		return nil // the plan's own
	}
	switch {
	case c.desired.Service(now.Service) != nil && now.OneOff && now.Hook == "" && now.Status.Alive():
		return fmt.Errorf("%q: somebody else runs it", op.Head().ID)
	case now.OneOff && !now.Status.Alive() && c.options.RemoveOrphans: // what run has left counts as an orphan
		return nil
	case c.desired.Service(now.Service) == nil && (slices.Contains(c.desired.Disabled, now.Service) || !c.options.RemoveOrphans):
		return fmt.Errorf("%q: an orphan without consent", op.Head().ID)
	case c.desired.Service(now.Service) != nil && !now.OneOff && !c.selected(now.Service):
		return fmt.Errorf("%q: nobody asked for service %s", op.Head().ID, now.Service)
	}
	return nil
}

// selected says that the service is one of those that were asked for, or that they need.
func (c *situation) selected(name string) bool {
	o := &c.options
	if len(o.Services) == 0 || slices.Contains(o.Services, name) {
		return true
	}
	if o.NoDeps {
		return false
	}
	return slices.ContainsFunc(o.Services, func(asked string) bool { return c.needs(asked, name) })
}

// needs says that one service needs the other, directly or not.
func (c *situation) needs(one, other string) bool {
	s := c.desired.Service(one)
	for _, dep := range s.DependsOn {
		if dep.Service == other || c.needs(dep.Service, other) {
			return true
		}
	}
	return slices.ContainsFunc(s.Shares, func(name string) bool { return name == other || c.needs(name, other) })
}

func (c *situation) network(id string) *state.Network {
	for _, n := range c.before.State.Networks {
		if n.ID == id {
			return &n
		}
	}
	return nil
}

// differs says that the network is another one than is wanted.
func (c *situation) differs(name string) bool {
	for _, n := range c.desired.Networks {
		if n.Name == name {
			return n.Hash != c.before.State.Networks[name].Hash
		}
	}
	return false
}

// kept: named volumes are all there, and replaced containers have the anonymous ones of those before them.
func (c *situation) kept(after *World) error {
	for name := range c.before.State.Volumes {
		if _, there := after.State.Volumes[name]; !there && len(name) != 64 {
			return fmt.Errorf("volume %s is gone", name)
		}
	}
	for _, was := range c.before.State.Containers {
		s := c.desired.Service(was.Service)
		if s == nil || was.OneOff || c.options.RenewVolumes {
			continue
		}
		for _, is := range after.State.Containers {
			same := is.Service == was.Service && is.Number == was.Number && !is.OneOff
			for target, name := range is.Anonymous {
				if before := was.Anonymous[target]; same && before != "" && before != name {
					return fmt.Errorf("%s has lost its volume of %s", is.Name, target)
				}
			}
		}
	}
	return nil
}

func (c *situation) noOrphans(after *World) error {
	for _, is := range after.State.Containers {
		if c.desired.Service(is.Service) == nil && !slices.Contains(c.desired.Disabled, is.Service) {
			return fmt.Errorf("orphan %s is still there", is.Name)
		}
	}
	return nil
}

// minimal: who is as wanted already, and depends on nobody that is made anew or restarted, is left alone.
func (c *situation) minimal(p *plan.Plan) error {
	if c.options.Recreate == plan.RecreateForce || c.options.RecreateDeps == plan.RecreateForce || c.options.Pull != "" {
		return nil
	}
	settled := map[string]bool{}
	for _, s := range c.desired.Services {
		settled[s.Name] = true
	}
	for again := true; again; { // until it spreads no further
		again = false
		for name, is := range settled {
			if is && !c.settled(name, settled) {
				settled[name], again = false, true
			}
		}
	}
	for _, op := range p.Operations {
		if h := op.Head(); settled[h.Service] && !harmless(op) && !c.hookLeft(op) {
			return fmt.Errorf("%q, though service %s is as wanted", h.ID, h.Service)
		}
	}
	return nil
}

// hookLeft: what an interrupted run has left of a hook, or a container of run that is over, is cleared away from services that
// are as wanted otherwise. Those that go on are put on a network again that is made anew.
func (c *situation) hookLeft(op plan.Operation) bool {
	ref, network := "", ""
	switch op := op.(type) {
	case *plan.RemoveContainer:
		ref = op.Container
	case *plan.DisconnectNetwork:
		ref, network = op.Container, op.Network
	case *plan.ConnectNetwork:
		ref, network = op.Container, op.Network
	}
	now := c.before.Find(ref)
	return now != nil && now.OneOff && (network != "" || now.Hook != "" || !now.Status.Alive())
}

func harmless(op plan.Operation) bool {
	switch op.(type) {
	case *plan.WaitHealthy, *plan.WaitCompleted, *plan.MonitorContainer, *plan.Delay, *plan.Gate:
		return true
	}
	return false
}

// settled says by the state alone whether the service is as wanted, if the others are settled that are said to be.
func (c *situation) settled(name string, others map[string]bool) bool {
	s := c.desired.Service(name)
	for _, dep := range s.DependsOn {
		if dep.Restart && (!others[dep.Service] || c.overtaken(name, dep.Service)) {
			return false
		}
	}
	for _, shared := range s.Shares {
		if !others[shared] || c.overtaken(name, shared) {
			return false
		}
	}
	for _, key := range s.Networks {
		if n := c.desired.Network(key); c.differs(n.Name) {
			return false
		}
	}
	there := c.before.State.Of(name)
	if len(there) != len(s.Containers) {
		return false
	}
	for i, want := range s.Containers {
		is := there[i]
		ends := c.before.made[is.ID].ends && is.Status == state.Exited && is.ExitCode == 0
		if is.Name != want.Name || is.Status != state.Running && !ends || !c.before.asWanted(is, s) {
			return false
		}
	}
	return true
}

// overtaken says that a container of the other service was started after one of the service.
func (c *situation) overtaken(name, other string) bool {
	for _, one := range c.before.State.Of(name) {
		for _, two := range c.before.State.Of(other) {
			if two.StartedAt.After(one.StartedAt) {
				return true
			}
		}
	}
	return false
}

// asWanted says whether the container is what the service wants of it, by what it was made with and has become.
func (w *World) asWanted(is state.Container, s *desired.Service) bool {
	i := slices.IndexFunc(s.Containers, func(want desired.Container) bool { return want.Number == is.Number })
	if i < 0 || is.ImageID != w.State.Images[s.Image].ID {
		return false
	}
	want := &s.Containers[i]
	var endpoints map[string]*network.EndpointSettings
	if want.Config.Networking != nil {
		endpoints = want.Config.Networking.EndpointsConfig
	}
	now := is.Mutable
	if is.Status == state.Exited { // what does not run need not be on networks
		endpoints, now = nil, slices.DeleteFunc(slices.Clone(now), func(line desired.Setting) bool { return strings.HasPrefix(line.Name, "Networks.") })
	}
	if !slices.Equal(desired.Reported(w.filledIn(want.Config.Host), endpoints), now) {
		return false
	}
	attached := want.Config.Networking != nil
	return slices.Equal(fixed(unpack(is.Config), attached), fixed(want.Settings, attached))
}

var unpacked sync.Map // what unpack has read

func unpack(text string) desired.Settings {
	if s, ok := unpacked.Load(text); ok {
		return s.(desired.Settings)
	}
	s, _ := desired.Unpack(text) // nothing is wanted like what cannot be read
	unpacked.Store(text, s)
	return s
}

// fixed are the settings that do not change while a container stays. Its network mode is that of its networks, if it has any.
func fixed(settings desired.Settings, attached bool) desired.Settings {
	return slices.DeleteFunc(slices.Clone(settings), func(line desired.Setting) bool {
		return desired.Mutable(line.Name) || line.Name == "NetworkMode" && attached && !strings.HasPrefix(line.Value, "container:")
	})
}
