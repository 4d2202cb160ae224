package spec

import (
	"regexp"
	"runtime"
	"sync"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	minMemory  = 6 << 20 // below it no container starts; the limit is Docker's
	cfsPeriod  = 100_000 // microseconds; the kernel's default
	cpuListMax = 1 << 16
)

// UnifiedCgroups says whether the host has the unified hierarchy of control groups (version 2) only.
var UnifiedCgroups = sync.OnceValue(func() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
})

// swapAccounting says whether a version 1 kernel counts swap. Version 2 always does.
var swapAccounting = sync.OnceValue(func() bool { return hostHas("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes") })

// Resources converts the limits, for a running container's update: what r leaves zero is left as it is, and -1 takes a
// limit away. ErrInvalid, ErrUnsupported: the limit cannot be; the message names the field.
func Resources(r container.Resources, cgroupV2 bool) (*specs.LinuxResources, error) {
	if err := checkUnsupportedResources(r); err != nil {
		return nil, err
	}
	if err := checkLimits(r, cgroupV2); err != nil {
		return nil, err
	}
	blkio, err := blockIO(r)
	if err != nil {
		return nil, err
	}
	return &specs.LinuxResources{Memory: memory(r), CPU: cpu(r), Pids: pids(r), BlockIO: blkio}, nil
}

// createResources is Resources for a new container, which has Docker's default limit of swap.
func createResources(r container.Resources, cgroupV2 bool) (*specs.LinuxResources, error) {
	if err := checkResources(r, cgroupV2); err != nil {
		return nil, err
	}
	switch {
	case r.MemorySwap < 0: // unlimited, as every new control group is
		r.MemorySwap = 0
	case r.Memory > 0 && r.MemorySwap == 0 && (cgroupV2 || swapAccounting()):
		r.MemorySwap = 2 * r.Memory
	}
	return Resources(r, cgroupV2)
}

// checkResources refuses limits that a new container cannot have.
func checkResources(r container.Resources, cgroupV2 bool) error {
	if r.MemorySwap > 0 && r.Memory <= 0 {
		return invalid("MemorySwap", "it includes Memory, which has no limit")
	}
	return checkLimits(r, cgroupV2)
}

func checkLimits(r container.Resources, cgroupV2 bool) error {
	for _, check := range []func(container.Resources) error{checkMemory, checkCPU, checkBlockIO} {
		if err := check(r); err != nil {
			return err
		}
	}
	switch {
	case cgroupV2 && r.OomKillDisable != nil && *r.OomKillDisable:
		return unsupported("OomKillDisable", "control groups of version 2 do not have it")
	case cgroupV2 && swappiness(r) != nil:
		return unsupported("MemorySwappiness", "control groups of version 2 do not have it")
	}
	return nil
}

func checkMemory(r container.Resources) error {
	s := swappiness(r)
	switch {
	case r.Memory < 0 || r.Memory > 0 && r.Memory < minMemory:
		return invalid("Memory", "%d bytes are below the minimum of 6 MB", r.Memory)
	case r.MemorySwap < -1:
		return invalid("MemorySwap", "%d is negative", r.MemorySwap)
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return invalid("MemorySwap", "%d includes Memory and is less than its %d", r.MemorySwap, r.Memory)
	case r.MemoryReservation < 0 || r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return invalid("MemoryReservation", "%d bytes are below the minimum of 6 MB", r.MemoryReservation)
	case r.Memory > 0 && r.MemoryReservation > r.Memory:
		return invalid("MemoryReservation", "%d exceeds Memory, which is %d", r.MemoryReservation, r.Memory)
	case s != nil && *s > 100:
		return invalid("MemorySwappiness", "%d is not between 0 and 100", *r.MemorySwappiness)
	}
	return nil
}

var cpuList = regexp.MustCompile(`^\d+(-\d+)?(,\d+(-\d+)?)*$`)

func checkCPU(r container.Resources) error {
	cpus := runtime.NumCPU()
	switch {
	case r.NanoCPUs > 0 && r.CPUPeriod != 0:
		return invalid("CpuPeriod", "NanoCpus is set too")
	case r.NanoCPUs > 0 && r.CPUQuota != 0:
		return invalid("CpuQuota", "NanoCpus is set too")
	case r.NanoCPUs < 0 || r.NanoCPUs > int64(cpus)*1e9:
		return invalid("NanoCpus", "%.2f CPUs are not between 0.01 and the %d that there are", float64(r.NanoCPUs)/1e9, cpus)
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1_000_000):
		return invalid("CpuPeriod", "%d is not between 1000 and 1000000 microseconds", r.CPUPeriod)
	case r.CPUQuota < -1 || r.CPUQuota >= 0 && r.CPUQuota < 1000 && r.CPUQuota != 0:
		return invalid("CpuQuota", "%d is less than 1000 microseconds", r.CPUQuota)
	case r.CPUShares < 0:
		return invalid("CpuShares", "%d is negative", r.CPUShares)
	case r.CpusetCpus != "" && (len(r.CpusetCpus) > cpuListMax || !cpuList.MatchString(r.CpusetCpus)):
		return invalid("CpusetCpus", "%.40q is no list of CPUs such as 0-2,4", r.CpusetCpus)
	case r.CpusetMems != "" && (len(r.CpusetMems) > cpuListMax || !cpuList.MatchString(r.CpusetMems)):
		return invalid("CpusetMems", "%.40q is no list of memory nodes such as 0-1", r.CpusetMems)
	}
	return nil
}

func checkBlockIO(r container.Resources) error {
	if r.BlkioWeight != 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000) {
		return invalid("BlkioWeight", "%d is not between 10 and 1000", r.BlkioWeight)
	}
	return nil
}

// swappiness returns the wish, nil for none: clients send -1 for that.
func swappiness(r container.Resources) *uint64 {
	if r.MemorySwappiness == nil || *r.MemorySwappiness == -1 {
		return nil
	}
	v := uint64(*r.MemorySwappiness)
	return &v
}

func memory(r container.Resources) *specs.LinuxMemory {
	m := specs.LinuxMemory{Swappiness: swappiness(r)}
	if r.Memory != 0 {
		m.Limit = &r.Memory
	}
	if r.MemorySwap != 0 {
		m.Swap = &r.MemorySwap
	}
	if r.MemoryReservation != 0 {
		m.Reservation = &r.MemoryReservation
	}
	if r.OomKillDisable != nil && *r.OomKillDisable {
		m.DisableOOMKiller = r.OomKillDisable
	}
	if m == (specs.LinuxMemory{}) {
		return nil
	}
	return &m
}

func cpu(r container.Resources) *specs.LinuxCPU {
	c := specs.LinuxCPU{Cpus: r.CpusetCpus, Mems: r.CpusetMems}
	if r.CPUShares != 0 {
		c.Shares = ptr(uint64(r.CPUShares))
	}
	if r.CPUPeriod != 0 {
		c.Period = ptr(uint64(r.CPUPeriod))
	}
	if r.CPUQuota != 0 {
		c.Quota = &r.CPUQuota
	}
	if r.NanoCPUs > 0 {
		c.Period, c.Quota = ptr(uint64(cfsPeriod)), ptr(r.NanoCPUs*cfsPeriod/1e9)
	}
	if c == (specs.LinuxCPU{}) {
		return nil
	}
	return &c
}

func pids(r container.Resources) *specs.LinuxPids {
	switch {
	case r.PidsLimit == nil:
		return nil
	case *r.PidsLimit <= 0:
		return &specs.LinuxPids{Limit: ptr(int64(-1))}
	}
	return &specs.LinuxPids{Limit: r.PidsLimit}
}

func blockIO(r container.Resources) (*specs.LinuxBlockIO, error) {
	var b specs.LinuxBlockIO
	empty := true
	if r.BlkioWeight != 0 {
		b.Weight, empty = &r.BlkioWeight, false
	}
	for _, w := range r.BlkioWeightDevice {
		dev, err := blockDevice("BlkioWeightDevice", w.Path)
		if err != nil {
			return nil, err
		}
		b.WeightDevice, empty = append(b.WeightDevice, specs.LinuxWeightDevice{LinuxBlockIODevice: dev, Weight: &w.Weight}), false
	}
	for _, t := range []struct {
		field string
		from  []*blkiodev.ThrottleDevice
		to    *[]specs.LinuxThrottleDevice
	}{
		{"BlkioDeviceReadBps", r.BlkioDeviceReadBps, &b.ThrottleReadBpsDevice},
		{"BlkioDeviceWriteBps", r.BlkioDeviceWriteBps, &b.ThrottleWriteBpsDevice},
		{"BlkioDeviceReadIOps", r.BlkioDeviceReadIOps, &b.ThrottleReadIOPSDevice},
		{"BlkioDeviceWriteIOps", r.BlkioDeviceWriteIOps, &b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range t.from {
			dev, err := blockDevice(t.field, d.Path)
			if err != nil {
				return nil, err
			}
			*t.to, empty = append(*t.to, specs.LinuxThrottleDevice{LinuxBlockIODevice: dev, Rate: d.Rate}), false
		}
	}
	if empty {
		return nil, nil
	}
	return &b, nil
}

func blockDevice(field, path string) (specs.LinuxBlockIODevice, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return specs.LinuxBlockIODevice{}, invalid(field, "%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return specs.LinuxBlockIODevice{}, invalid(field, "%s is not a block device", path)
	}
	return specs.LinuxBlockIODevice{Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))}, nil
}

func ptr[T any](v T) *T { return &v }
