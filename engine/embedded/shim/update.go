package shim

import (
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// update changes the limits that the request names.
func (s *Shim) update(r protocol.UpdateRequest) error {
	c, err := s.container(r.ID)
	if err != nil {
		return err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if err := c.expect("update", protocol.Created, protocol.Running, protocol.Paused); err != nil {
		return err
	}
	config := c.init.Config()
	cg := *config.Cgroups
	resources := *cg.Resources
	cg.Resources = &resources
	config.Cgroups = &cg
	changeLimits(&resources, r.Resources)
	return c.init.Set(config)
}

func changeLimits(to *cgroups.Resources, from *specs.LinuxResources) {
	if m := from.Memory; m != nil {
		set(&to.Memory, m.Limit)
		set(&to.MemoryReservation, m.Reservation)
		set(&to.MemorySwap, m.Swap)
		to.MemorySwappiness = first(m.Swappiness, to.MemorySwappiness)
	}
	if p := from.Pids; p != nil {
		to.PidsLimit = p.Limit
	}
	if b := from.BlockIO; b != nil {
		set(&to.BlkioWeight, b.Weight)
	}
	c := from.CPU
	if c == nil {
		return
	}
	if c.Shares != nil {
		to.CpuShares = *c.Shares
		to.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	set(&to.CpuQuota, c.Quota)
	set(&to.CpuPeriod, c.Period)
	set(&to.CpuRtPeriod, c.RealtimePeriod)
	set(&to.CpuRtRuntime, c.RealtimeRuntime)
	if c.Cpus != "" {
		to.CpusetCpus = c.Cpus
	}
	if c.Mems != "" {
		to.CpusetMems = c.Mems
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}
