package project

import (
	"strings"
	"sync"

	"stackrun.dev/stack/project/internal/grammar"
)

// shape is a place in Compose files, whatever names and indexes lead to it: what a text there is cast to, and its grammar.
type shape struct {
	below map[string]*shape // by fixed key, "*" for names that the user gives, "[]" for items of a list; "?" for names themselves
	cast  cast
	check grammar.Check
}

func (s *shape) step(key string) *shape {
	if s == nil {
		return nil
	}
	return s.below[key]
}

// shapes is the shape of a whole file, made when the first one is checked.
var shapes = sync.OnceValue(func() *shape {
	root := &shape{}
	for path, c := range casts {
		root.at(path).cast = c
	}
	for path, check := range grammars {
		root.at(path).check = check
	}
	// Jobs have a service's attributes, and so have the containers that run before a service.
	service := root.at("services.*")
	root.at("jobs").below = map[string]*shape{"*": service}
	service.at("pre_start").below = map[string]*shape{"[]": service}
	return root
})

func (s *shape) at(path string) *shape {
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		if s.below == nil {
			s.below = make(map[string]*shape)
		}
		if s.below[step] == nil {
			s.below[step] = &shape{}
		}
		s = s.below[step]
	}
	return s
}

// grammars are the texts that have a form of their own. A path that ends in "?" is about the names of a mapping's keys.
var grammars = map[string]grammar.Check{
	"services.*.ports[]":                       grammar.Port,
	"services.*.ports[].target":                grammar.PortNumber,
	"services.*.ports[].published":             grammar.PortRange,
	"services.*.ports[].host_ip":               grammar.Address,
	"services.*.ports[].protocol":              grammar.Protocol,
	"services.*.ports[].mode":                  grammar.PortMode,
	"services.*.expose[]":                      grammar.Expose,
	"services.*.extra_hosts[]":                 grammar.ExtraHost,
	"services.*.extra_hosts.*":                 grammar.HostAddress,
	"services.*.extra_hosts.*[]":               grammar.HostAddress,
	"services.*.build.extra_hosts[]":           grammar.ExtraHost,
	"services.*.build.extra_hosts.*":           grammar.HostAddress,
	"services.*.dns":                           grammar.Address,
	"services.*.dns[]":                         grammar.Address,
	"services.*.mac_address":                   grammar.MAC,
	"services.*.networks.*.mac_address":        grammar.MAC,
	"services.*.networks.*.ipv4_address":       grammar.IPv4,
	"services.*.networks.*.ipv6_address":       grammar.IPv6,
	"services.*.networks.*.link_local_ips[]":   grammar.Address,
	"networks.*.ipam.config[].subnet":          grammar.Subnet,
	"networks.*.ipam.config[].ip_range":        grammar.Subnet,
	"networks.*.ipam.config[].gateway":         grammar.Address,
	"networks.*.ipam.config[].aux_addresses.*": grammar.Address,

	"services.*.healthcheck.interval":           grammar.ProbeDuration,
	"services.*.healthcheck.timeout":            grammar.ProbeDuration,
	"services.*.healthcheck.start_period":       grammar.ProbeDuration,
	"services.*.healthcheck.start_interval":     grammar.ProbeDuration,
	"services.*.healthcheck.retries":            grammar.Natural,
	"services.*.stop_grace_period":              grammar.Duration,
	"services.*.deploy.restart_policy.delay":    grammar.Duration,
	"services.*.deploy.restart_policy.window":   grammar.Duration,
	"services.*.deploy.update_config.delay":     grammar.Duration,
	"services.*.deploy.update_config.monitor":   grammar.Duration,
	"services.*.deploy.rollback_config.delay":   grammar.Duration,
	"services.*.deploy.rollback_config.monitor": grammar.Duration,

	"services.*.mem_limit":                            grammar.Size,
	"services.*.mem_reservation":                      grammar.Size,
	"services.*.memswap_limit":                        grammar.Limit,
	"services.*.mem_swappiness":                       grammar.Between(-1, 100),
	"services.*.shm_size":                             grammar.Size,
	"services.*.build.shm_size":                       grammar.Size,
	"services.*.volumes[].tmpfs.size":                 grammar.Size,
	"services.*.volumes[].tmpfs.mode":                 grammar.Mode,
	"services.*.blkio_config.weight":                  grammar.Between(0, 1000),
	"services.*.blkio_config.weight_device[].weight":  grammar.Between(0, 1000),
	"services.*.blkio_config.device_read_bps[].rate":  grammar.Size,
	"services.*.blkio_config.device_write_bps[].rate": grammar.Size,
	"services.*.deploy.resources.limits.memory":       grammar.Size,
	"services.*.deploy.resources.reservations.memory": grammar.Size,
	"services.*.deploy.resources.limits.cpus":         grammar.CPUs,
	"services.*.deploy.resources.reservations.cpus":   grammar.CPUs,
	"services.*.deploy.resources.limits.pids":         grammar.NaturalOrUnlimited,
	"services.*.cpuset":                               grammar.CPUSet,
	"services.*.cpus":                                 grammar.CPUs,
	"services.*.pids_limit":                           grammar.NaturalOrUnlimited,
	"services.*.scale":                                grammar.Natural,
	"services.*.deploy.replicas":                      grammar.Natural,
	"services.*.deploy.restart_policy.max_attempts":   grammar.Natural,
	"services.*.secrets[].mode":                       grammar.Mode,
	"services.*.configs[].mode":                       grammar.Mode,
	"services.*.build.secrets[].mode":                 grammar.Mode,

	"services.*.image":                                 grammar.Image,
	"services.*.build.tags[]":                          grammar.Image,
	"services.*.platform":                              grammar.Platform,
	"services.*.build.platforms[]":                     grammar.Platform,
	"services.*.container_name":                        grammar.EngineName("container"),
	"services.*.hostname":                              grammar.Hostname,
	"services.*.domainname":                            grammar.Hostname,
	"services.*.profiles[]":                            grammar.ProfileName,
	"services.*.environment[]":                         grammar.Variable,
	"services.*.environment.?":                         grammar.VariableKey,
	"services.*.sysctls[]":                             grammar.Sysctl,
	"services.*.links[]":                               grammar.Link,
	"services.*.external_links[]":                      grammar.Link,
	"services.*.stop_signal":                           grammar.Signal,
	"services.*.restart":                               grammar.Restart,
	"services.*.deploy.restart_policy.condition":       grammar.Condition,
	"services.*.deploy.mode":                           grammar.DeployMode,
	"services.*.deploy.endpoint_mode":                  grammar.EndpointMode,
	"services.*.deploy.update_config.failure_action":   grammar.FailureAction,
	"services.*.deploy.rollback_config.failure_action": grammar.FailureAction,
	"services.*.pull_policy":                           grammar.PullPolicy,
	"services.*.network_mode":                          grammar.NetworkMode,
	"services.*.ipc":                                   grammar.IPC,
	"services.*.pid":                                   grammar.PID,
	"services.*.uts":                                   grammar.UTS,
	"services.*.isolation":                             grammar.Isolation,
	"services.*.cap_add[]":                             grammar.Capability,
	"services.*.cap_drop[]":                            grammar.Capability,
	"services.*.ulimits.?":                             grammar.Ulimit,
	"services.*.build.ulimits.?":                       grammar.Ulimit,
	"services.*.env_file[].format":                     grammar.EnvFormat,
	"services.*.volumes[]":                             grammar.Volume,
	"services.*.volumes[].target":                      grammar.Target,
	"services.*.volumes[].bind.propagation":            grammar.Propagation,
	"services.*.volumes[].consistency":                 grammar.Consistency,
	"services.*.tmpfs":                                 grammar.Tmpfs,
	"services.*.tmpfs[]":                               grammar.Tmpfs,
	"services.*.devices[]":                             grammar.Device,
	"services.*.devices[].permissions":                 grammar.Permissions,
	"services.*.working_dir":                           grammar.Target,
	"networks.*.name":                                  grammar.EngineName("network"),
	"volumes.*.name":                                   grammar.EngineName("volume"),
}
