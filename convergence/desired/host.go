package desired

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
)

// host is how the service's containers meet the host.
func (s *serviceBuilder) host() *container.HostConfig {
	binds, mounts := s.mounts()
	return &container.HostConfig{
		Binds:          binds,
		Mounts:         mounts,
		Tmpfs:          tmpfs(s.Tmpfs),
		VolumesFrom:    s.volumesFrom(),
		NetworkMode:    s.networkMode(),
		PortBindings:   s.portBindings(),
		RestartPolicy:  s.restartPolicy(),
		Annotations:    s.Annotations,
		CapAdd:         []string(s.CapAdd),
		CapDrop:        []string(s.CapDrop),
		CgroupnsMode:   container.CgroupnsMode(s.Cgroup),
		DNS:            s.DNS,
		DNSOptions:     s.DNSOpts,
		DNSSearch:      s.DNSSearch,
		ExtraHosts:     extraHosts(s.ExtraHosts),
		GroupAdd:       s.GroupAdd,
		IpcMode:        container.IpcMode(s.ofService(s.Ipc)),
		PidMode:        container.PidMode(s.ofService(s.Pid)),
		UTSMode:        container.UTSMode(s.ofService(s.Uts)),
		UsernsMode:     container.UsernsMode(s.UserNSMode),
		LogConfig:      logConfig(s.Logging),
		OomScoreAdj:    int(s.OomScoreAdj),
		Privileged:     s.Privileged,
		ReadonlyRootfs: s.ReadOnly,
		SecurityOpt:    s.securityOpt(),
		StorageOpt:     s.StorageOpt,
		ShmSize:        int64(s.ShmSize),
		Sysctls:        s.Sysctls,
		Runtime:        s.Runtime,
		Init:           s.Init,
		Resources:      s.resources(),
	}
}

// ofService turns "service:db" into the mode that names the first container of db.
func (s *serviceBuilder) ofService(mode string) string {
	if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
		return types.ContainerPrefix + s.b.containerName(name, 1)
	}
	return mode
}

func (s *serviceBuilder) volumesFrom() []string {
	var out []string
	for _, from := range s.VolumesFrom {
		if rest, ok := strings.CutPrefix(from, types.ContainerPrefix); ok {
			out = append(out, rest)
			continue
		}
		name, mode, _ := strings.Cut(strings.TrimSuffix(from, ":rw"), ":")
		out = append(out, joinNonEmpty(":", s.b.containerName(name, 1), mode))
	}
	return out
}

// restartPolicy is that of deploy, which counts where both are stated, or restart.
func (s *serviceBuilder) restartPolicy() container.RestartPolicy {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		return s.deployedRestartPolicy(s.Deploy.RestartPolicy)
	}
	if s.Restart != "" {
		name, count, _ := strings.Cut(s.Restart, ":")
		tries, err := strconv.Atoi(count)
		if count != "" && (err != nil || name != types.RestartPolicyOnFailure || tries < 0) {
			s.mistake("restart "+s.Restart+" is not a restart policy", "write no, always, unless-stopped, on-failure or on-failure:3", "restart")
		}
		return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: tries}
	}
	return container.RestartPolicy{}
}

func (s *serviceBuilder) deployedRestartPolicy(policy *types.RestartPolicy) container.RestartPolicy {
	out := container.RestartPolicy{}
	if policy.MaxAttempts != nil && policy.Condition != "on-failure" {
		s.warn("deploy.restart_policy.max_attempts has no effect: the engine counts attempts with on-failure only", "deploy", "restart_policy", "max_attempts")
	}
	switch policy.Condition {
	case "none":
		out.Name = container.RestartPolicyDisabled
	case "on-failure":
		out.Name = container.RestartPolicyOnFailure
		if policy.MaxAttempts != nil {
			out.MaximumRetryCount = int(*policy.MaxAttempts)
		}
	case "", "any":
		out.Name = container.RestartPolicyAlways
	default:
		s.mistake(policy.Condition+" is not a restart condition", "write none, on-failure or any", "deploy", "restart_policy", "condition")
	}
	return out
}

func extraHosts(hosts types.HostsList) []string {
	out := hosts.AsList(":")
	slices.Sort(out)
	return out
}

func logConfig(l *types.LoggingConfig) container.LogConfig {
	if l == nil {
		return container.LogConfig{}
	}
	return container.LogConfig{Type: l.Driver, Config: l.Options}
}

// securityOpt gives the engine the content of a seccomp profile, as Docker's own clients do.
func (s *serviceBuilder) securityOpt() []string {
	var out []string
	for i, opt := range s.SecurityOpt {
		opt = strings.Replace(opt, ":", "=", boolToInt(!strings.Contains(opt, "=")))
		profile, isSeccomp := strings.CutPrefix(opt, "seccomp=")
		if isSeccomp && profile != "unconfined" && profile != "builtin" {
			content, ok := s.b.in.Contents[profile]
			if !ok && s.b.in.Contents != nil { // without contents, only names and orders are asked for
				s.mistake("cannot read the seccomp profile "+profile, "", "security_opt", strconv.Itoa(i))
				continue
			}
			opt = "seccomp=" + string(content)
		}
		out = append(out, opt)
	}
	return out
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func tmpfs(paths types.StringList) map[string]string {
	if len(paths) == 0 {
		return nil
	}
	out := make(map[string]string, len(paths))
	for _, p := range paths {
		path, options, _ := strings.Cut(p, ":")
		out[path] = options
	}
	return out
}

// networkMode is that of the file, or the first network by priority.
func (s *serviceBuilder) networkMode() container.NetworkMode {
	if s.NetworkMode != "" {
		if s.NetworkMode == "host" && len(s.Ports) > 0 {
			s.warn("ports have no effect with network_mode host: every port of the container is one of the host", "ports")
		}
		return container.NetworkMode(s.ofService(s.NetworkMode))
	}
	if keys := s.NetworksByPriority(); len(keys) > 0 {
		return container.NetworkMode(s.networkName(keys[0]))
	}
	return container.NetworkMode("none")
}

func (s *serviceBuilder) networkName(key string) string {
	if n := s.b.out.Network(key); n != nil {
		return n.Name
	}
	return fmt.Sprintf("%s_%s", s.b.project.Name, key)
}
