package desired

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

// resources are the limits. deploy.resources says the same as the older attributes of the service; the loader has made
// sure that they do not contradict each other.
func (s *serviceBuilder) resources() container.Resources {
	r := container.Resources{
		CgroupParent:       s.CgroupParent,
		Memory:             int64(s.MemLimit),
		MemoryReservation:  int64(s.MemReservation),
		MemorySwap:         int64(s.MemSwapLimit),
		CPUPeriod:          s.CPUPeriod,
		CPUQuota:           s.CPUQuota,
		CPURealtimePeriod:  s.CPURTPeriod,
		CPURealtimeRuntime: s.CPURTRuntime,
		CPUShares:          s.CPUShares,
		NanoCPUs:           s.nanoCPUs(),
		CpusetCpus:         s.CPUSet,
		DeviceCgroupRules:  s.DeviceCgroupRules,
		Ulimits:            ulimits(s.Ulimits),
	}
	if s.MemSwappiness != 0 || s.states("mem_swappiness") {
		swappiness := int64(s.MemSwappiness)
		r.MemorySwappiness = &swappiness
	}
	if s.OomKillDisable {
		r.OomKillDisable = &s.OomKillDisable
	}
	if s.PidsLimit != 0 {
		r.PidsLimit = &s.PidsLimit
	}
	s.devices(&r)
	s.deploy(&r)
	s.blockIO(&r, s.BlkioConfig)
	if r.MemorySwap > 0 && r.Memory == 0 {
		s.mistake("memswap_limit is memory and swap together, and there is no mem_limit", "write mem_limit, which is the part that is memory", "memswap_limit")
	}
	return r
}

func (s *serviceBuilder) deploy(r *container.Resources) {
	if s.Deploy == nil {
		return
	}
	if limits := s.Deploy.Resources.Limits; limits != nil {
		if limits.MemoryBytes != 0 {
			r.Memory = int64(limits.MemoryBytes)
		}
		if limits.NanoCPUs != 0 {
			r.NanoCPUs = nanoCPUs(limits.NanoCPUs.Value())
		}
		if limits.Pids != 0 {
			r.PidsLimit = &limits.Pids
		}
	}
	if reserved := s.Deploy.Resources.Reservations; reserved != nil {
		if reserved.MemoryBytes != 0 {
			r.MemoryReservation = int64(reserved.MemoryBytes)
		}
		r.DeviceRequests = append(r.DeviceRequests, deviceRequests(reserved.Devices)...)
	}
}

// nanoCPUs is the limit of cpus, or that of cpu_count: the engine's own count of processors exists on Windows only.
func (s *serviceBuilder) nanoCPUs() int64 {
	if s.CPUS == 0 {
		return s.CPUCount * 1e9
	}
	return nanoCPUs(s.CPUS)
}

// nanoCPUs rounds to microseconds of a CPU: the loader reads 0.1 as a 32-bit number, which is 0.100000001.
func nanoCPUs(cpus float32) int64 {
	return int64(math.Round(float64(cpus)*1e6)) * 1e3
}

func ulimits(limits map[string]*types.UlimitsConfig) []*container.Ulimit {
	var out []*container.Ulimit
	for _, name := range sortedKeys(limits) {
		l := limits[name]
		u := &container.Ulimit{Name: name, Soft: int64(l.Soft), Hard: int64(l.Hard)}
		if l.Single != 0 {
			u.Soft, u.Hard = int64(l.Single), int64(l.Single)
		}
		out = append(out, u)
	}
	return out
}

// devices tells host devices from those that a CDI name stands for ("vendor.com/class=name").
func (s *serviceBuilder) devices(r *container.Resources) {
	for _, d := range s.Devices {
		if !strings.HasPrefix(d.Source, "/") && strings.Contains(d.Source, "=") {
			r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: []string{d.Source}})
			continue
		}
		r.Devices = append(r.Devices, container.DeviceMapping{
			PathOnHost:        d.Source,
			PathInContainer:   cmp.Or(d.Target, d.Source),
			CgroupPermissions: cmp.Or(d.Permissions, "rwm"),
		})
	}
	for i, d := range s.Gpus {
		if len(d.IDs) > 0 && d.Count != 0 {
			s.mistake("count and device_ids exclude each other", "remove one of the two", "gpus", strconv.Itoa(i))
		}
	}
	r.DeviceRequests = append(r.DeviceRequests, deviceRequests(s.withGPU(s.Gpus))...)
}

// withGPU adds the capability that gpus is short for.
func (s *serviceBuilder) withGPU(requests []types.DeviceRequest) []types.DeviceRequest {
	out := slices.Clone(requests)
	for i := range out {
		if !slices.Contains(out[i].Capabilities, "gpu") {
			out[i].Capabilities = append(slices.Clone(out[i].Capabilities), "gpu")
		}
	}
	return out
}

func deviceRequests(requests []types.DeviceRequest) []container.DeviceRequest {
	var out []container.DeviceRequest
	for _, d := range requests {
		out = append(out, container.DeviceRequest{
			Driver: d.Driver, Count: int(d.Count), DeviceIDs: d.IDs, Capabilities: [][]string{d.Capabilities}, Options: d.Options,
		})
	}
	return out
}

func (s *serviceBuilder) blockIO(r *container.Resources, c *types.BlkioConfig) {
	if c == nil {
		return
	}
	s.checkWeight(c.Weight, "weight")
	r.BlkioWeight = c.Weight
	for i, d := range c.WeightDevice {
		s.checkWeight(d.Weight, "weight_device", strconv.Itoa(i), "weight")
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: d.Weight})
	}
	r.BlkioDeviceReadBps = throttles(c.DeviceReadBps)
	r.BlkioDeviceReadIOps = throttles(c.DeviceReadIOps)
	r.BlkioDeviceWriteBps = throttles(c.DeviceWriteBps)
	r.BlkioDeviceWriteIOps = throttles(c.DeviceWriteIOps)
}

func (s *serviceBuilder) checkWeight(weight uint16, path ...string) {
	if weight != 0 && (weight < 10 || weight > 1000) {
		s.mistake(fmt.Sprintf("%d is not a weight", weight), "write a number from 10 to 1000", append([]string{"blkio_config"}, path...)...)
	}
}

func throttles(devices []types.ThrottleDevice) []*blkiodev.ThrottleDevice {
	var out []*blkiodev.ThrottleDevice
	for _, d := range devices {
		out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
	}
	return out
}
