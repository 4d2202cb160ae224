package execute

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// Lost says that the engine's answer was lost, so that nobody knows whether the call was carried out.
func Lost(err error) bool { return broken(err) || errors.Is(err, engine.ErrUnavailable) }

// broken says that a connection ended in the middle of a call.
func broken(err error) bool {
	var broken *net.OpError
	if errors.As(err, &broken) {
		return true
	}
	for _, kind := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// lost is Lost for the call of an operation.
func lost(op plan.Operation, err error) bool {
	switch op.(type) {
	case *plan.PullImage, *plan.BuildImage, *plan.RunProvider, *plan.ServeModel:
		return broken(err) // else it may be a registry that does not answer, or anything else
	}
	return Lost(err)
}

// settled looks, after a call that failed in a way that leaves this open, whether things are as the operation wanted them: the
// answer was lost, or somebody else was quicker. Then it is a success.
func (x *executor) settled(ctx context.Context, op plan.Operation, began time.Time, err error) bool {
	gone := lost(op, err)
	if ctx.Err() != nil || !gone && !errors.Is(err, engine.ErrConflict) {
		return false
	}
	if gone && idempotent(op) {
		return x.do(ctx, op) == nil
	}
	switch op := op.(type) {
	case *plan.CreateNetwork, *plan.RemoveNetwork, *plan.CreateVolume, *plan.RemoveVolume:
		return x.resourceSettled(ctx, op)
	case *plan.CreateContainer:
		return x.created(ctx, op)
	case *plan.RenameContainer:
		c, err := x.engine.ContainerInspect(ctx, op.Name)
		return err == nil && c.ID == x.idOf(op.Container)
	case *plan.RemoveContainer:
		return x.removed(ctx, op, gone)
	}
	ref := containerOf(op)
	if ref == "" {
		return false
	}
	c, inspectErr := x.engine.ContainerInspect(ctx, ref)
	return inspectErr == nil && c.State != nil && containerSettled(op, c, gone, began)
}

// idempotent says that the operation can be done a second time and comes to the same.
func idempotent(op plan.Operation) bool {
	switch op.(type) {
	case *plan.CopyFiles, *plan.UpdateContainer, *plan.RemoveImage, *plan.PullImage:
		return true
	}
	return false
}

func (x *executor) resourceSettled(ctx context.Context, op plan.Operation) bool {
	switch op := op.(type) {
	case *plan.CreateNetwork:
		n, err := x.engine.NetworkInspect(ctx, op.Name, network.InspectOptions{})
		return err == nil && n.Name == op.Name && x.sameAs(op, op.Options.Labels, n.Labels)
	case *plan.RemoveNetwork:
		_, err := x.engine.NetworkInspect(ctx, op.Ref, network.InspectOptions{})
		return errors.Is(err, engine.ErrNotFound)
	case *plan.CreateVolume:
		v, err := x.engine.VolumeInspect(ctx, op.Options.Name)
		return err == nil && x.sameAs(op, op.Options.Labels, v.Labels)
	case *plan.RemoveVolume:
		_, err := x.engine.VolumeInspect(ctx, op.Name)
		return errors.Is(err, engine.ErrNotFound)
	}
	return false
}

// sameAs says that the object which has the name is as wanted. One that is not the project's stays in the way, which is kept in
// mind.
func (x *executor) sameAs(op plan.Operation, want, have map[string]string) bool {
	if want[desired.LabelProject] != have[desired.LabelProject] {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.foreign[op.Head().ID] = true
		return false
	}
	return same(want, have)
}

// same says that an object is as wanted, by its labels: all of them, among which is a hash of its settings.
func same(want, have map[string]string) bool {
	for name, value := range want {
		if got, there := have[name]; !there || got != value {
			return false
		}
	}
	return want[desired.LabelProject] != "" && want[desired.LabelHash] != ""
}

func (x *executor) created(ctx context.Context, op *plan.CreateContainer) bool {
	c, err := x.engine.ContainerInspect(ctx, op.Name)
	if err != nil || c.Config == nil || !x.sameAs(op, x.configOf(op).Config.Labels, c.Config.Labels) {
		return false
	}
	x.identify(op.Name, c.ID)
	return true
}

// removed waits for the end of a removal that is going on.
func (x *executor) removed(ctx context.Context, op *plan.RemoveContainer, gone bool) bool {
	c, err := x.engine.ContainerInspect(ctx, op.Container)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return true
	case err != nil || gone || c.State == nil || c.State.Status != container.StateRemoving:
		return false
	}
	ends, failures := x.engine.ContainerWait(ctx, c.ID, container.WaitConditionRemoved)
	select {
	case <-ends:
		return true
	case err := <-failures:
		return errors.Is(err, engine.ErrNotFound)
	case <-ctx.Done():
		return false
	}
}

// containerOf is the container whose state tells whether the operation was carried out.
func containerOf(op plan.Operation) string {
	switch op := op.(type) {
	case *plan.StartContainer:
		return op.Container
	case *plan.StopContainer:
		return op.Container
	case *plan.RestartContainer:
		return op.Container
	case *plan.KillContainer:
		return op.Container
	case *plan.PauseContainer:
		return op.Container
	case *plan.UnpauseContainer:
		return op.Container
	case *plan.ConnectNetwork:
		return op.Container
	case *plan.DisconnectNetwork:
		return op.Container
	}
	return ""
}

// containerSettled says whether the container is as the operation wanted it.
func containerSettled(op plan.Operation, c container.InspectResponse, lost bool, began time.Time) bool {
	s := c.State
	switch op := op.(type) {
	case *plan.StartContainer:
		return s.Running && !s.Paused || lost && startedSince(s, began)
	case *plan.RestartContainer:
		return lost && startedSince(s, began)
	case *plan.StopContainer, *plan.KillContainer:
		return !s.Running && !s.Restarting
	case *plan.PauseContainer:
		return s.Paused
	case *plan.UnpauseContainer:
		return s.Running && !s.Paused
	case *plan.ConnectNetwork:
		return connected(c, op.Network, op.Settings)
	case *plan.DisconnectNetwork:
		return !connected(c, op.Network, nil)
	}
	return false
}

// startedSince says that the container has started in the meantime, even if it has exited again.
func startedSince(s *container.State, began time.Time) bool {
	at, err := time.Parse(time.RFC3339Nano, s.StartedAt)
	return err == nil && !at.Before(began)
}

// connected says that the container is on the network, by its name or ID, with the names that are wanted there.
func connected(c container.InspectResponse, ref string, want *network.EndpointSettings) bool {
	if c.NetworkSettings == nil {
		return false
	}
	for name, have := range c.NetworkSettings.Networks {
		if name != ref && (have == nil || have.NetworkID != ref) {
			continue
		}
		return want == nil || have != nil && subset(want.Aliases, have.Aliases)
	}
	return false
}

func subset(want, have []string) bool {
	names := make(map[string]bool, len(have))
	for _, name := range have {
		names[name] = true
	}
	for _, name := range want {
		if !names[name] {
			return false
		}
	}
	return true
}
