package container

import (
	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// defaultShmSize is the size of /dev/shm in bytes unless the request says otherwise.
const defaultShmSize = 64 << 20

// Normalise returns a copy of the request's host part with Docker's defaults filled in. host may be nil.
func Normalise(host *container.HostConfig) (*container.HostConfig, error) {
	h := container.HostConfig{}
	if host != nil {
		h = *host
	}
	if h.NetworkMode == "" || h.NetworkMode == "default" {
		h.NetworkMode = "bridge"
	}
	if h.RestartPolicy.Name == "" {
		h.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if h.LogConfig.Type == "" {
		h.LogConfig.Type = "json-file"
	}
	if h.ShmSize == 0 {
		h.ShmSize = defaultShmSize
	}
	if h.IpcMode == "" {
		h.IpcMode = container.IPCModePrivate
	}
	if h.Runtime == "" {
		h.Runtime = "runc"
	}
	if err := container.ValidateRestartPolicy(h.RestartPolicy); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "%w", err)
	}
	if h.AutoRemove && !h.RestartPolicy.IsNone() {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot remove a container automatically that has a restart policy")
	}
	if h.LogConfig.Type != "json-file" && h.LogConfig.Type != "none" {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot log with the driver %q: use json-file or none", h.LogConfig.Type)
	}
	return &h, nil
}
