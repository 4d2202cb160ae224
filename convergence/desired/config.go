package desired

import (
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// config is what runs in the service's containers; labels are added by the caller.
func (s *serviceBuilder) config() *container.Config {
	return &container.Config{
		Hostname:        s.Hostname,
		Domainname:      s.DomainName,
		User:            s.User,
		Tty:             s.Tty,
		OpenStdin:       s.StdinOpen,
		Cmd:             []string(s.Command),
		Entrypoint:      []string(s.Entrypoint),
		Image:           s.out.Image,
		Env:             environment(s.Environment),
		WorkingDir:      s.WorkingDir,
		ExposedPorts:    s.exposedPorts(),
		Healthcheck:     healthcheck(s.HealthCheck),
		StopSignal:      s.StopSignal,
		StopTimeout:     seconds(s.StopGracePeriod),
		MacAddress:      "", // stated for the endpoint, see networking
		NetworkDisabled: s.NetworkMode == "disabled",
	}
}

// environment lists the variables, sorted. One without a value is taken away from what the image sets.
func environment(env types.MappingWithEquals) []string {
	out := make([]string, 0, len(env))
	for _, name := range sortedKeys(env) {
		if value := env[name]; value != nil {
			out = append(out, name+"="+*value)
		} else {
			out = append(out, name)
		}
	}
	return out
}

func seconds(d *types.Duration) *int {
	if d == nil {
		return nil
	}
	n := int((time.Duration(*d) + time.Second - 1) / time.Second)
	return &n
}

func healthcheck(h *types.HealthCheckConfig) *container.HealthConfig {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	out := &container.HealthConfig{
		Test:          h.Test,
		Interval:      duration(h.Interval),
		Timeout:       duration(h.Timeout),
		StartPeriod:   duration(h.StartPeriod),
		StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// exposedPorts are those of expose and ports; ranges are spelled out.
func (s *serviceBuilder) exposedPorts() nat.PortSet {
	ports := nat.PortSet{}
	for _, e := range s.Expose {
		expanded, err := expandPort(e)
		if err != nil {
			s.mistake("expose "+strconv.Quote(e)+" is not a port: "+err.Error(), "write 80, 80/udp or 80-90", "expose")
		}
		for _, p := range expanded {
			ports[p] = struct{}{}
		}
	}
	for _, p := range s.Ports {
		ports[targetPort(p)] = struct{}{}
	}
	if len(ports) == 0 {
		return nil
	}
	return ports
}

func expandPort(text string) ([]nat.Port, error) {
	proto, ports := nat.SplitProtoPort(text)
	low, high, err := nat.ParsePortRange(ports)
	if err != nil {
		return nil, err
	}
	var out []nat.Port
	for n := low; n <= high; n++ {
		port, err := nat.NewPort(proto, strconv.FormatUint(n, 10))
		if err != nil {
			return nil, err
		}
		out = append(out, port)
	}
	return out, nil
}

func targetPort(p types.ServicePortConfig) nat.Port {
	proto := p.Protocol
	if proto == "" {
		proto = "tcp"
	}
	return nat.Port(strconv.FormatUint(uint64(p.Target), 10) + "/" + proto)
}

// portBindings are the published ports. Without a host port the engine picks one.
func (s *serviceBuilder) portBindings() nat.PortMap {
	if len(s.Ports) == 0 {
		return nil
	}
	out := nat.PortMap{}
	for _, p := range s.Ports {
		port := targetPort(p)
		published := p.Published
		if published == "0" {
			published = ""
		}
		out[port] = append(out[port], nat.PortBinding{HostIP: p.HostIP, HostPort: published})
	}
	return out
}

// platform reads "os[/arch[/variant]]".
func (s *serviceBuilder) platform(text string, path ...string) *ocispec.Platform {
	if text == "" {
		return nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 {
		s.mistake("platform "+text+" is not a platform", "write os/arch, for example linux/amd64", path...)
		return nil
	}
	parts = append(parts, "", "")
	return &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}
