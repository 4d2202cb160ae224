package embedded

import (
	"context"
	"errors"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime/spec"
)

// ContainerRename implements engine.Containers.
func (e *Engine) ContainerRename(ctx context.Context, ref, name string) error {
	if name == "" || name == "/" {
		return engine.Errorf(engine.ErrInvalid, "cannot rename container %s: the new name is empty", ref)
	}
	c, err := e.lock(ctx, ref)
	if err != nil {
		return err
	}
	defer c.Unlock()
	old := c.Record().Name
	taken, err := e.containers.Reserve(name, c.ID)
	if err != nil {
		return err
	}
	if taken == old {
		return engine.Errorf(engine.ErrInvalid, "cannot rename container %s: the new name is the same as the old one", old)
	}
	c.Change(func(r *container.Record) { r.Name = taken })
	if err := c.Save(); err != nil {
		c.Change(func(r *container.Record) { r.Name = old })
		e.containers.Free(taken, c.ID)
		return err
	}
	e.containers.Free(old, c.ID)
	record := c.Record()
	e.containerEvent(&record, events.ActionRename, "oldName", "/"+old)
	if !record.State.Active() || record.Joined != "" {
		return nil
	}
	return errors.Join(e.networks.Rename(c.ID, taken), e.names.push(ctx))
}

// ContainerUpdate implements engine.Containers.
func (e *Engine) ContainerUpdate(ctx context.Context, ref string, cfg dockercontainer.UpdateConfig) (dockercontainer.UpdateResponse, error) {
	var none dockercontainer.UpdateResponse
	if err := dockercontainer.ValidateRestartPolicy(cfg.RestartPolicy); err != nil {
		return none, engine.Errorf(engine.ErrInvalid, "%w", err)
	}
	limits, err := spec.Resources(cfg.Resources, unifiedCgroups())
	if err != nil {
		return none, err
	}
	c, err := e.lock(ctx, ref)
	if err != nil {
		return none, err
	}
	defer c.Unlock()
	before := c.Record()
	if before.Host.AutoRemove && cfg.RestartPolicy.Name != "" && !cfg.RestartPolicy.IsNone() {
		return none, engine.Errorf(engine.ErrConflict, "container %s removes itself and cannot have a restart policy", before.Name)
	}
	host := *before.Host
	applyLimits(&host.Resources, cfg.Resources)
	if cfg.RestartPolicy.Name != "" {
		host.RestartPolicy = cfg.RestartPolicy
	}
	if before.State.Active() {
		if err := e.runtime.Update(ctx, c.ID, limits); err != nil {
			return none, err
		}
	}
	c.Change(func(r *container.Record) { r.Host = &host })
	_, state, actions := c.Apply(lifecycle.RulesChanged{})
	e.busy.note(c.ID, state)
	record := c.Record()
	e.containerEvent(&record, events.ActionUpdate)
	return dockercontainer.UpdateResponse{Warnings: []string{}}, errors.Join(e.act(ctx, c, actions), c.Save())
}

// applyLimits takes over what change says and leaves the rest.
func applyLimits(r *dockercontainer.Resources, change dockercontainer.Resources) {
	set(&r.CPUShares, change.CPUShares)
	set(&r.Memory, change.Memory)
	set(&r.NanoCPUs, change.NanoCPUs)
	set(&r.BlkioWeight, change.BlkioWeight)
	set(&r.CPUPeriod, change.CPUPeriod)
	set(&r.CPUQuota, change.CPUQuota)
	set(&r.CPURealtimePeriod, change.CPURealtimePeriod)
	set(&r.CPURealtimeRuntime, change.CPURealtimeRuntime)
	set(&r.CpusetCpus, change.CpusetCpus)
	set(&r.CpusetMems, change.CpusetMems)
	set(&r.MemoryReservation, change.MemoryReservation)
	set(&r.MemorySwap, change.MemorySwap)
	set(&r.PidsLimit, change.PidsLimit)
}

func set[T comparable](to *T, value T) {
	var zero T
	if value != zero {
		*to = value
	}
}
