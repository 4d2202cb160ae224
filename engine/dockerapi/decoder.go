package dockerapi

import (
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/sysinfo"
	"github.com/docker/docker/runconfig"
)

// decoder reads the body of a create request with Docker's own checks.
type decoder struct{}

// DecodeConfig implements httputils.ContainerDecoder. Endpoint settings that a client left null become empty ones:
// Docker's router writes to them.
func (decoder) DecodeConfig(src io.Reader) (*container.Config, *container.HostConfig, *network.NetworkingConfig, error) {
	// All that is checked against the host is whether it has real-time scheduling of groups; engines refuse that anyway.
	docker := runconfig.ContainerDecoder{GetSysInfo: func() *sysinfo.SysInfo { return &sysinfo.SysInfo{} }}
	config, host, networking, err := docker.DecodeConfig(src)
	if networking != nil {
		for name, settings := range networking.EndpointsConfig {
			if settings == nil {
				networking.EndpointsConfig[name] = &network.EndpointSettings{}
			}
		}
	}
	return config, host, networking, err
}
