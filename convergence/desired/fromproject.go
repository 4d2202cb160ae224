package desired

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// Input is what the project's files do not say.
type Input struct {
	Scale     map[string]int   // --scale, over what the files say
	Contents  project.Contents // of configs, secrets and other files that are read, from project.ReadContents
	Separator string           // between the parts of names of containers and images; empty is "-", Compose 1 had "_"

	// For services that use the engine's API: where its socket is (empty: where Docker's is), and what docker login stored,
	// as the content of Docker's config.json.
	APISocket   string
	Credentials []byte
}

// FromProject computes what the project wants. The error is a project.Errors: what cannot be carried out, with its place.
// The warnings name what has no effect.
func FromProject(p *project.Project, in Input) (*Project, []project.Warning, error) {
	r := refuser{project: p}
	r.run()
	b := &builder{project: p, in: in, errors: r.errors}
	b.out = &Project{Name: p.Name, Disabled: p.DisabledServiceNames()}
	b.unhealthy = b.flag(b.xStackOf(p.Extensions, projectKeys), restartUnhealthy, false)
	b.networks()
	b.volumes()
	for _, name := range p.ServiceNames() {
		b.service(p.Services[name])
	}
	warnings := append(r.warnings, b.warnings...)
	if err := b.errors.Sorted(); err != nil {
		return nil, warnings, err
	}
	return b.out, warnings, nil
}

type builder struct {
	project  *project.Project
	in       Input
	out      *Project
	errors   project.Errors
	warnings []project.Warning

	unhealthy bool // restart_unhealthy of the project
}

// serviceBuilder is one service on its way from the model to the engine's terms.
type serviceBuilder struct {
	types.ServiceConfig
	b     *builder
	out   *Service
	under []string // the path within the service of a part that is like a service itself
	below []string // the services whose builds need this one
}

// mistake records an error about the service's attribute at the path.
func (s *serviceBuilder) mistake(problem, fix string, path ...string) {
	s.b.errors = append(s.b.errors, s.b.project.Mistake(problem, fix, place(s.Name, slices.Concat(s.under, path)...)...))
}

// warn records a warning about the service's attribute at the path.
func (s *serviceBuilder) warn(text string, path ...string) {
	at := s.b.project.Position(place(s.Name, slices.Concat(s.under, path)...)...)
	if w := (project.Warning{Position: at, Text: text}); !slices.Contains(s.b.warnings, w) { // once for all replicas
		s.b.warnings = append(s.b.warnings, w)
	}
}

// states says whether the attribute is written, for those whose zero value means something else than none: it has a place
// of its own then.
func (s *serviceBuilder) states(attribute string) bool {
	return s.b.project.Position(place(s.Name, slices.Concat(s.under, []string{attribute})...)...) != s.b.project.Position(place(s.Name, s.under...)...)
}

func (b *builder) service(model types.ServiceConfig) {
	b.out.Services = append(b.out.Services, Service{Name: model.Name, Image: imageName(b.project.Name, b.separator(), model)})
	s := &serviceBuilder{ServiceConfig: model, b: b, out: &b.out.Services[len(b.out.Services)-1]}
	s.out.DependsOn = s.dependsOn()
	s.out.RestartUnhealthy = b.restartsUnhealthy(model)
	if model.Provider != nil {
		s.out.Image, s.out.Provider = "", s.provider()
		return
	}
	s.useAPISocket()
	s.out.Models = s.models()
	s.out.Platform = s.platform(model.Platform, "platform")
	s.out.Pull, s.out.Refresh = s.pullPolicy()
	s.out.PullFirst = s.pullFirst()
	s.updates()
	s.out.Build = s.build()
	s.out.Shares = s.shares()
	s.out.Networks = sortedKeys(model.Networks)
	s.out.Volumes = s.namedVolumes()
	s.out.ComposeHash, s.out.References = composeHash(model)
	s.out.PreStart, s.out.PostStart, s.out.PreStop = s.preStart(), s.hooks("post_start", model.PostStart), s.hooks("pre_stop", model.PreStop)
	s.containers()
}

// imageName is the image of the service; one that is only built is named after project and service.
func imageName(projectName, separator string, s types.ServiceConfig) string {
	if s.Image != "" {
		return s.Image
	}
	return projectName + separator + s.Name
}

func (s *serviceBuilder) dependsOn() []Dependency {
	var out []Dependency
	for _, name := range sortedKeys(s.DependsOn) {
		d := s.DependsOn[name]
		if _, there := s.b.project.Services[name]; !there {
			continue // validated: it is not required, or it was left out by the caller's choice of services
		}
		condition := Condition(d.Condition)
		if condition == "" {
			condition = Started
		}
		out = append(out, Dependency{Service: name, Condition: condition, Restart: d.Restart, Required: d.Required})
	}
	return out
}

// shares are the services without which a container of this one cannot go on: their namespaces and volumes are its own.
func (s *serviceBuilder) shares() []string {
	set := make(map[string]bool)
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid, s.Uts, s.Cgroup} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			set[name] = true
		}
	}
	for _, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			set[name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func (s *serviceBuilder) namedVolumes() []string {
	set := make(map[string]bool)
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			set[v.Source] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// replicas is how many containers are wanted.
func (s *serviceBuilder) replicas() int {
	if n, ok := s.b.in.Scale[s.Name]; ok {
		if n > 1 && s.ContainerName != "" {
			s.mistake("a container_name can be used once only, and the scale is more than 1", "remove container_name", "container_name")
		}
		return max(n, 0)
	}
	if s.Deploy != nil && strings.HasPrefix(s.Deploy.Mode, "global") && s.GetScale() > 0 {
		return 1 // one on each machine, of which there is one
	}
	return s.GetScale()
}

func (s *serviceBuilder) containers() {
	n := s.replicas()
	if n == 0 {
		return
	}
	config, files := s.config(), s.files()
	config.Labels = s.b.serviceLabels(s)
	ofHooks := hookSettings(s.out)
	for number := 1; number <= n; number++ {
		c := Container{Name: s.b.containerName(s.Name, number), Number: number, Files: files}
		own := *config
		own.Labels = numbered(config.Labels, number)
		c.Config.Config = &own
		c.Config.Host = s.host()
		c.Config.Networking = s.networking(c.Name)
		c.Config.Platform = s.out.Platform
		c.Settings = containerSettings(&c).merge(ofHooks)
		c.Hash = c.Settings.Hash()
		own.Labels[LabelHash] = c.Hash
		s.out.Containers = append(s.out.Containers, c)
	}
}
