package container

import (
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

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
	return &h, validateLog(h.LogConfig)
}

func validateLog(log container.LogConfig) error {
	for option, value := range log.Config {
		var err error
		switch option {
		case "max-size":
			if value != "-1" {
				_, err = units.RAMInBytes(value)
			}
		case "max-file":
			var files int
			if files, err = strconv.Atoi(value); err == nil && files < 1 {
				err = strconv.ErrRange
			}
		case "mode", "max-buffer-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag":
			return engine.Errorf(engine.ErrUnsupported, "the log option %q is not supported", option)
		default:
			return engine.Errorf(engine.ErrInvalid, "unknown log option %q for json-file", option)
		}
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "invalid log option %s=%s: %w", option, value, err)
		}
	}
	return nil
}
