package embedded

import (
	"bufio"
	"context"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/opencontainers/cgroups"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// ContainerStats implements engine.Containers.
func (e *Engine) ContainerStats(ctx context.Context, ref string) (dockercontainer.StatsResponse, error) {
	c, err := e.find(ref)
	if err != nil {
		return dockercontainer.StatsResponse{}, err
	}
	record := c.Record()
	if !record.State.Active() {
		return dockercontainer.StatsResponse{}, engine.Errorf(engine.ErrConflict, "cannot measure container %s: it does not run", record.Name)
	}
	sample, err := e.runtime.Stats(ctx, c.ID)
	if err != nil {
		return dockercontainer.StatsResponse{}, err
	}
	stats := dockercontainer.StatsResponse{ID: c.ID, Name: "/" + record.Name, Read: sample.Read.UTC(), Networks: map[string]dockercontainer.NetworkStats{}}
	for name, i := range sample.Interfaces {
		stats.Networks[name] = dockercontainer.NetworkStats{
			RxBytes: i.RxBytes, RxPackets: i.RxPackets, RxErrors: i.RxErrors, RxDropped: i.RxDropped,
			TxBytes: i.TxBytes, TxPackets: i.TxPackets, TxErrors: i.TxErrors, TxDropped: i.TxDropped,
		}
	}
	if sample.Cgroup != nil {
		addCPU(&stats, sample.Cgroup)
		addMemory(&stats, sample)
		addPids(&stats, sample.Cgroup)
		addBlocks(&stats, sample.Cgroup)
	}
	return stats, nil
}

func addCPU(stats *dockercontainer.StatsResponse, group *cgroups.Stats) {
	cpu := group.CpuStats
	stats.CPUStats = dockercontainer.CPUStats{
		CPUUsage: dockercontainer.CPUUsage{
			TotalUsage: cpu.CpuUsage.TotalUsage, PercpuUsage: cpu.CpuUsage.PercpuUsage,
			UsageInKernelmode: cpu.CpuUsage.UsageInKernelmode, UsageInUsermode: cpu.CpuUsage.UsageInUsermode,
		},
		SystemUsage: hostCPU(), OnlineCPUs: uint32(goruntime.NumCPU()),
		ThrottlingData: dockercontainer.ThrottlingData{
			Periods: cpu.ThrottlingData.Periods, ThrottledPeriods: cpu.ThrottlingData.ThrottledPeriods, ThrottledTime: cpu.ThrottlingData.ThrottledTime,
		},
	}
}

// hostCPU is the time that all processors of the host have spent on anything, in nanoseconds.
func hostCPU() uint64 {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(content), "\n")
	fields := strings.Fields(line)
	// user, nice, system, idle, iowait, irq, softirq, steal; what guests use is part of user already.
	var ticks uint64
	for _, field := range fields[min(1, len(fields)):min(9, len(fields))] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return ticks * nanosPerTick
}

// nanosPerTick is the unit of /proc/stat: a hundredth of a second on every architecture that Go knows.
const nanosPerTick = 10_000_000

func addMemory(stats *dockercontainer.StatsResponse, sample runtime.Stats) {
	memory := sample.Cgroup.MemoryStats
	m := dockercontainer.MemoryStats{Usage: memory.Usage.Usage, MaxUsage: memory.Usage.MaxUsage, Stats: memory.Stats,
		Failcnt: memory.Usage.Failcnt, Limit: memory.Usage.Limit}
	if total := hostMemory(); m.Limit == 0 || m.Limit > total {
		m.Limit = total
	}
	stats.MemoryStats = m
}

// hostMemory is the host's memory in bytes.
var hostMemory = sync.OnceValue(func() uint64 {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseUint(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
})

func addPids(stats *dockercontainer.StatsResponse, group *cgroups.Stats) {
	stats.PidsStats = dockercontainer.PidsStats{Current: group.PidsStats.Current, Limit: group.PidsStats.Limit}
}

func addBlocks(stats *dockercontainer.StatsResponse, group *cgroups.Stats) {
	b := group.BlkioStats
	stats.BlkioStats = dockercontainer.BlkioStats{
		IoServiceBytesRecursive: blockEntries(b.IoServiceBytesRecursive), IoServicedRecursive: blockEntries(b.IoServicedRecursive),
		IoQueuedRecursive: blockEntries(b.IoQueuedRecursive), IoServiceTimeRecursive: blockEntries(b.IoServiceTimeRecursive),
		IoWaitTimeRecursive: blockEntries(b.IoWaitTimeRecursive), IoMergedRecursive: blockEntries(b.IoMergedRecursive),
		IoTimeRecursive: blockEntries(b.IoTimeRecursive), SectorsRecursive: blockEntries(b.SectorsRecursive),
	}
}

func blockEntries(entries []cgroups.BlkioStatEntry) []dockercontainer.BlkioStatEntry {
	var all []dockercontainer.BlkioStatEntry
	for _, e := range entries {
		all = append(all, dockercontainer.BlkioStatEntry{Major: e.Major, Minor: e.Minor, Op: e.Op, Value: e.Value})
	}
	return all
}
