package desired

import (
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"
)

// driverOptInterface is the endpoint option by which Docker's drivers name the interface inside the container.
const driverOptInterface = "com.docker.network.endpoint.ifname"

// networking puts one container on all the networks of its service.
func (s *serviceBuilder) networking(containerName string) *network.NetworkingConfig {
	if s.NetworkMode != "" || len(s.Networks) == 0 {
		return nil
	}
	out := &network.NetworkingConfig{EndpointsConfig: make(map[string]*network.EndpointSettings, len(s.Networks))}
	for i, key := range s.NetworksByPriority() {
		e := s.endpoint(containerName, s.Networks[key])
		if i == 0 && e.MacAddress == "" {
			e.MacAddress = s.MacAddress
		}
		out.EndpointsConfig[s.networkName(key)] = e
	}
	return out
}

func (s *serviceBuilder) endpoint(containerName string, n *types.ServiceNetworkConfig) *network.EndpointSettings {
	e := &network.EndpointSettings{Aliases: []string{containerName}, Links: s.links()}
	if n.ServiceNameAliasEnabled() {
		e.Aliases = append(e.Aliases, s.Name)
	}
	if n == nil {
		return e
	}
	e.Aliases = append(e.Aliases, n.Aliases...)
	e.DriverOpts = maps.Clone(map[string]string(n.DriverOpts))
	e.GwPriority = n.GatewayPriority
	e.MacAddress = n.MacAddress
	if n.InterfaceName != "" {
		if e.DriverOpts == nil {
			e.DriverOpts = make(map[string]string, 1)
		}
		e.DriverOpts[driverOptInterface] = n.InterfaceName
	}
	if n.Ipv4Address != "" || n.Ipv6Address != "" || len(n.LinkLocalIPs) > 0 {
		e.IPAMConfig = &network.EndpointIPAMConfig{
			IPv4Address: n.Ipv4Address, IPv6Address: n.Ipv6Address, LinkLocalIPs: n.LinkLocalIPs,
		}
	}
	return e
}

// links are "container:alias", by which a service sees another under a further name.
func (s *serviceBuilder) links() []string {
	var out []string
	for _, link := range s.Links {
		name, alias, renamed := strings.Cut(link, ":")
		if !renamed {
			alias = name
		}
		target := s.b.containerName(name, 1)
		out = append(out, target+":"+alias)
	}
	for _, link := range s.ExternalLinks {
		name, alias, renamed := strings.Cut(link, ":")
		if !renamed {
			alias = name
		}
		out = append(out, name+":"+alias)
	}
	return out
}
