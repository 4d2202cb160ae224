package desired

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// Hook is a command that is executed in a running container: right after its start, or before it is stopped.
type Hook struct {
	Command    []string
	User       string // the container's if empty
	WorkingDir string // the container's if empty
	Env        []string
	Privileged bool
}

// HookOf is the hook as a project has it.
func HookOf(h types.ServiceHook) Hook {
	return Hook{Command: h.Command, User: h.User, WorkingDir: h.WorkingDir, Env: environment(h.Environment), Privileged: h.Privileged}
}

// PreStart is a container that has to run to its end, with exit code 0, before the containers of its service start.
type PreStart struct {
	Image      string
	Platform   *ocispec.Platform
	Pull       PullPolicy
	Refresh    time.Duration // of PullRefresh: how old the last pull may be
	PerReplica bool          // once for each container that starts; else once, and only if none of the service's containers runs
	Networks   []string      // keys, sorted
	Volumes    []string      // keys, sorted; of its own
	Config     engine.CreateConfig
	Files      []File
}

// For is the configuration of the hook in front of the named container, whose volumes it sees.
func (p *PreStart) For(container string) engine.CreateConfig {
	out := p.Config
	host := *out.Host
	host.VolumesFrom = append([]string{container}, host.VolumesFrom...)
	out.Host = &host
	return out
}

// hooks are those of the attribute.
func (s *serviceBuilder) hooks(attribute string, list []types.ServiceHook) []Hook {
	var out []Hook
	for i, h := range list {
		if len(h.Command) == 0 {
			s.mistake("a hook needs a command", "write command: [program, argument]", attribute, strconv.Itoa(i))
		}
		out = append(out, HookOf(h))
	}
	return out
}

// preStart makes the containers of the pre_start hooks. The loader has given each what it does not state itself from the
// service; volumes come from the service's container, so that anonymous ones are the same.
func (s *serviceBuilder) preStart() []PreStart {
	var out []PreStart
	for i, h := range s.PreStart {
		model := types.ServiceConfig{Name: s.Name, ContainerSpec: h.ContainerSpec}
		if model.Image == "" {
			model.Image = s.out.Image
		}
		hook := &serviceBuilder{ServiceConfig: model, b: s.b, under: []string{"pre_start", strconv.Itoa(i)}}
		hook.out = &Service{Name: s.Name, Image: model.Image, DependsOn: s.out.DependsOn}
		hook.useAPISocket()
		hook.models() // for their names in the environment
		hook.out.Platform = hook.platform(model.Platform, "platform")
		p := PreStart{
			Image: model.Image, Platform: hook.out.Platform, PerReplica: h.PerReplica,
			Networks: sortedKeys(model.Networks), Volumes: hook.namedVolumes(), Files: hook.files(),
		}
		p.Pull, p.Refresh = hook.pullPolicy()
		p.Config = engine.CreateConfig{Config: hook.config(), Host: hook.host(), Networking: hook.networking(""), Platform: hook.out.Platform}
		p.Config.Config.Labels = s.b.serviceLabels(hook)
		p.Config.Config.Labels[LabelOneOff] = "True" // it is none of the service's replicas
		p.Config.Config.Labels[LabelHook] = HookPreStart
		if p.Config.Networking != nil {
			for _, endpoint := range p.Config.Networking.EndpointsConfig {
				endpoint.Aliases = nil // whoever asks for the service does not mean its hooks
			}
		}
		out = append(out, p)
	}
	return out
}

// hookSettings are what makes a service differ by its hooks: a fingerprint of each, because they may hold secrets.
func hookSettings(s *Service) Settings {
	var f flattener
	for i := range s.PreStart {
		p := &s.PreStart[i]
		c := Container{Config: p.Config, Files: p.Files}
		f.add(fmt.Sprintf("PreStart.%d", i), fingerprint(fmt.Sprint(p.Image, p.PerReplica, containerSettings(&c))))
	}
	for name, list := range map[string][]Hook{"PostStart": s.PostStart, "PreStop": s.PreStop} {
		for i, h := range list {
			var own flattener
			own.structOf("", reflect.ValueOf(h), containerSpecial)
			f.add(fmt.Sprintf("%s.%d", name, i), fingerprint(fmt.Sprint(own.sorted())))
		}
	}
	return f.out
}

// merge puts further settings among those that are there.
func (s Settings) merge(more Settings) Settings {
	if len(more) == 0 {
		return s
	}
	f := flattener{out: append(s[:len(s):len(s)], more...)}
	return f.sorted()
}
