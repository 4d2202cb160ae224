package engine

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/docker/docker/api/types/container"
)

// AnnotationDetails is an annotation that an engine may add to the containers in its list, and to nothing else: what is otherwise
// to be had by looking at each one. Who lists hundreds of containers again and again saves hundreds of calls.
const AnnotationDetails = "dev.stack.details"

// Details is what AnnotationDetails holds. With it, the endpoints in the list are complete, too.
type Details struct {
	Restart      container.RestartPolicyMode `json:"restart,omitempty"`
	Retries      int                         `json:"retries,omitempty"`
	StartedAt    time.Time                   `json:"startedAt,omitzero"`
	RestartCount int                         `json:"restartCount,omitempty"`

	// The namespaces of other containers that it enters, as in container.HostConfig; others are left out.
	Network container.NetworkMode `json:"network,omitempty"`
	IPC     container.IpcMode     `json:"ipc,omitempty"`
	PID     container.PidMode     `json:"pid,omitempty"`

	// The limits that a container's update can change, as in container.Resources.
	Memory            int64  `json:"memory,omitempty"`
	MemorySwap        int64  `json:"memorySwap,omitempty"`
	MemoryReservation int64  `json:"memoryReservation,omitempty"`
	NanoCPUs          int64  `json:"nanoCPUs,omitempty"`
	CPUShares         int64  `json:"cpuShares,omitempty"`
	CPUPeriod         int64  `json:"cpuPeriod,omitempty"`
	CPUQuota          int64  `json:"cpuQuota,omitempty"`
	CpusetCpus        string `json:"cpusetCpus,omitempty"`
	CpusetMems        string `json:"cpusetMems,omitempty"`
	PidsLimit         *int64 `json:"pidsLimit,omitempty"`
	BlkioWeight       uint16 `json:"blkioWeight,omitempty"`
}

// DetailsFrom takes the details out of a container's configuration and state.
func DetailsFrom(h *container.HostConfig, startedAt time.Time, restarts int) Details {
	d := Details{
		Restart: h.RestartPolicy.Name, Retries: h.RestartPolicy.MaximumRetryCount, StartedAt: startedAt, RestartCount: restarts,
		Memory: h.Memory, MemorySwap: h.MemorySwap, MemoryReservation: h.MemoryReservation, NanoCPUs: h.NanoCPUs, CPUShares: h.CPUShares,
		CPUPeriod: h.CPUPeriod, CPUQuota: h.CPUQuota, CpusetCpus: h.CpusetCpus, CpusetMems: h.CpusetMems, PidsLimit: h.PidsLimit, BlkioWeight: h.BlkioWeight,
	}
	if h.NetworkMode.IsContainer() {
		d.Network = h.NetworkMode
	}
	if h.IpcMode.IsContainer() {
		d.IPC = h.IpcMode
	}
	if h.PidMode.IsContainer() {
		d.PID = h.PidMode
	}
	return d
}

// Host is the configuration as far as the details tell of it.
func (d *Details) Host() *container.HostConfig {
	return &container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: d.Restart, MaximumRetryCount: d.Retries},
		NetworkMode:   d.Network, IpcMode: d.IPC, PidMode: d.PID,
		Resources: container.Resources{
			Memory: d.Memory, MemorySwap: d.MemorySwap, MemoryReservation: d.MemoryReservation, NanoCPUs: d.NanoCPUs, CPUShares: d.CPUShares,
			CPUPeriod: d.CPUPeriod, CPUQuota: d.CPUQuota, CpusetCpus: d.CpusetCpus, CpusetMems: d.CpusetMems, PidsLimit: d.PidsLimit, BlkioWeight: d.BlkioWeight,
		},
	}
}

// Annotate adds the details to the annotations of a container in a list.
func (d Details) Annotate(annotations map[string]string) map[string]string {
	text, err := json.Marshal(d)
	if err != nil {
		return annotations
	}
	out := maps.Clone(annotations)
	if out == nil {
		out = make(map[string]string, 1)
	}
	out[AnnotationDetails] = string(text)
	return out
}

// DetailsOf reads the details of a container in a list. ok is false where the engine has not added them.
func DetailsOf(c *container.Summary) (d Details, ok bool) {
	text := c.HostConfig.Annotations[AnnotationDetails]
	if text == "" || c.NetworkSettings == nil {
		return d, false
	}
	return d, json.Unmarshal([]byte(text), &d) == nil
}
