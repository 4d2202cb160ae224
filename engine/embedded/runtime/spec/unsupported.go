package spec

import (
	"slices"

	"github.com/docker/docker/api/types/container"
)

// runtimes are the names that mean the engine's own runtime.
var runtimes = []string{"", "stack", "runc", "io.containerd.runc.v2"}

// checkUnsupported refuses the fields that this engine does not have. The zero values that Docker's clients always
// send pass.
func checkUnsupported(host *container.HostConfig) error {
	switch {
	case !slices.Contains(runtimes, host.Runtime):
		return unsupported("Runtime", "%q is not there, only the engine's own", host.Runtime)
	case len(host.StorageOpt) > 0:
		return unsupported("StorageOpt", "the overlay storage has no options")
	case !host.Isolation.IsDefault():
		return unsupported("Isolation", "%q exists on Windows only", host.Isolation)
	case len(host.Links) > 0:
		return unsupported("Links", "use a network with aliases instead")
	case host.Cgroup != "":
		return unsupported("Cgroup", "containers have a control group of their own")
	case host.UsernsMode != "" && host.UsernsMode != "host":
		return unsupported("UsernsMode", "%q is not there, only \"host\"", host.UsernsMode)
	case len(host.DeviceRequests) > 0:
		return unsupported("DeviceRequests", "there is no driver for devices such as GPUs")
	}
	return checkUnsupportedResources(host.Resources)
}

func checkUnsupportedResources(r container.Resources) error {
	switch {
	case r.KernelMemory != 0: //nolint:staticcheck // deprecated fields are refused too
		return unsupported("KernelMemory", "current kernels have no such limit")
	case r.KernelMemoryTCP != 0: //nolint:staticcheck // as above
		return unsupported("KernelMemoryTCP", "current kernels have no such limit")
	case r.CPURealtimePeriod != 0:
		return unsupported("CpuRealtimePeriod", "real-time scheduling is not given to containers")
	case r.CPURealtimeRuntime != 0:
		return unsupported("CpuRealtimeRuntime", "real-time scheduling is not given to containers")
	case r.CPUCount != 0:
		return unsupported("CpuCount", "it exists on Windows only; use NanoCpus")
	case r.CPUPercent != 0:
		return unsupported("CpuPercent", "it exists on Windows only; use NanoCpus")
	case r.IOMaximumIOps != 0:
		return unsupported("IOMaximumIOps", "it exists on Windows only; use BlkioDeviceReadIOps")
	case r.IOMaximumBandwidth != 0:
		return unsupported("IOMaximumBandwidth", "it exists on Windows only; use BlkioDeviceReadBps")
	}
	return nil
}
