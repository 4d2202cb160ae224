package model

import (
	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// containerDefaults fills in what is not written. A list of the model has the items of the list of the tree.
func containerDefaults(c *types.ContainerSpec, v *tree.Value) {
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.Target == "" {
			s.Target = "/run/secrets/" + s.Source
		}
	}
	gpus := v.Get("gpus")
	for i := range c.Gpus {
		requestDefaults(&c.Gpus[i], gpus.Items[i])
	}
	mounts := v.Get("volumes")
	for i := range c.Volumes {
		if bind := c.Volumes[i].Bind; bind != nil && mounts.Items[i].Get("bind").Get("create_host_path") == nil {
			bind.CreateHostPath = true
		}
	}
}

// requestDefaults asks for all devices where neither a number nor IDs are written.
func requestDefaults(r *types.DeviceRequest, v *tree.Value) {
	if v.Get("count") == nil && v.Get("device_ids") == nil {
		r.Count = -1
	}
}

func workloadDefaults(w *types.WorkloadSpec) {
	for i := range w.Ports {
		p := &w.Ports[i]
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		if p.Mode == "" {
			p.Mode = "ingress"
		}
	}
}

func deployDefaults(d *types.DeployConfig, v *tree.Value) {
	if d == nil || d.Resources.Reservations == nil {
		return
	}
	devices := v.Get("resources").Get("reservations").Get("devices")
	for i := range d.Resources.Reservations.Devices {
		requestDefaults(&d.Resources.Reservations.Devices[i], devices.Items[i])
	}
}
