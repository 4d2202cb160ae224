package model

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

// MaxServices is how many services a Wish has at most.
const MaxServices = 6

// Wish is a project made up at random, as a few small numbers: so it can be changed in one place, compared and printed.
type Wish struct {
	Services [MaxServices]Service
	Internal [2]bool // of the networks
	Driver   [2]bool // of the volumes: another definition
	Shift    int     // which service publishes which port
}

// Service is one service of a Wish.
type Service struct {
	There    bool
	Disabled bool // by a profile
	Image    int
	Env      int
	Label    int
	Scale    int
	Port     bool
	Networks int // a set of bits; 0: the default network
	Alias    int
	Volume   int // 0 is none
	Memory   int // 0 is none
	Restart  int
	Health   bool
	Hooks    int // 0 is none
	Update   int // 0 is none
	Shares   int // the number of a service whose namespaces it enters, and 1; 0 is none
	From     bool
	Needs    [MaxServices]Need
}

// Need is a dependency on another service.
type Need struct {
	There, Restart, Required bool
	Condition                int
}

var conditions = []string{types.ServiceConditionStarted, types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully}

// Images are the references that services are made of.
var Images = []string{"i0", "i1", "i2"}

// many is a scale with which two services have a gate between them.
const many = 9

// NewWish makes up a project.
func NewWish(rnd *rand.Rand) Wish {
	var w Wish
	w.Shift = rnd.IntN(2)
	for i := range 1 + rnd.IntN(MaxServices) {
		w.Services[i] = newService(rnd, i)
	}
	for i := range 2 {
		w.Internal[i], w.Driver[i] = one(rnd, 4), one(rnd, 4)
	}
	return w
}

func one(rnd *rand.Rand, in int) bool { return rnd.IntN(in) == 0 }

func newService(rnd *rand.Rand, i int) Service {
	s := Service{There: true}
	for field := range fields {
		s.vary(rnd, i, field)
	}
	return s
}

// fields is how many things vary knows.
const fields = 16

// vary makes up one thing about the service anew.
func (s *Service) vary(rnd *rand.Rand, i, field int) {
	switch field {
	case 0:
		s.Image = rnd.IntN(len(Images))
	case 1:
		s.Env = rnd.IntN(3)
	case 2:
		s.Label = rnd.IntN(2)
	case 3:
		s.Scale = []int{1, 1, 1, 2, 3, 0}[rnd.IntN(6)]
		if one(rnd, 30) {
			s.Scale = many
		}
	case 4:
		s.Port = one(rnd, 3)
	case 5:
		s.Networks = rnd.IntN(4)
	case 6:
		s.Alias = rnd.IntN(2)
	case 7:
		s.Volume = rnd.IntN(4)
	case 8:
		s.Memory = rnd.IntN(3)
	case 9:
		s.Restart = rnd.IntN(3)
	case 10:
		s.Health = one(rnd, 2)
	case 11:
		s.Hooks = max(0, rnd.IntN(8)-4)
	case 12:
		s.Update = max(0, rnd.IntN(8)-4)
	case 13:
		s.Disabled = one(rnd, 10)
	case 14:
		s.Shares, s.From = 0, one(rnd, 2)
		if i > 0 && one(rnd, 6) {
			s.Shares = 1 + rnd.IntN(i)
		}
	case 15:
		s.Needs = [MaxServices]Need{}
		for j := range i {
			if one(rnd, 3) {
				s.Needs[j] = Need{There: true, Restart: one(rnd, 2), Required: !one(rnd, 3), Condition: []int{0, 0, 1, 2}[rnd.IntN(4)]}
			}
		}
	}
}

// Changed is the wish with a few things changed.
func (w Wish) Changed(rnd *rand.Rand) Wish {
	for range 1 + rnd.IntN(2) {
		i := rnd.IntN(MaxServices)
		switch rnd.IntN(10) {
		case 0:
			w.Services[i] = Service{}
		case 1:
			w.Services[i] = newService(rnd, i)
		case 2:
			w.Internal[rnd.IntN(2)] = one(rnd, 2)
		case 3:
			w.Driver[rnd.IntN(2)] = one(rnd, 2)
		case 4:
			w.Shift = rnd.IntN(MaxServices)
		default:
			if w.Services[i].There {
				w.Services[i].vary(rnd, i, rnd.IntN(fields))
			}
		}
	}
	return w
}

// Name is that of the i-th service.
func Name(i int) string { return "s" + strconv.Itoa(i) }

// enabled says that the i-th service is part of the project.
func (w *Wish) enabled(i int) bool { return w.Services[i].There && !w.Services[i].Disabled }

// ends says which services end by themselves: somebody waits for their completion, and nobody is in their namespaces.
func (w *Wish) ends() (out [MaxServices]bool) {
	for i := range w.Services {
		for j, need := range w.Services[i].Needs {
			out[j] = out[j] || w.enabled(i) && w.enabled(j) && need.There && need.Condition == 2
		}
	}
	for i := range w.Services {
		if j := w.Services[i].Shares - 1; j >= 0 {
			out[j] = false
		}
	}
	return out
}

// condition is one that the j-th service can reach: what ends is not healthy for long, and what goes on does not complete.
func (w *Wish) condition(need Need, j int) string {
	ends := w.ends()[j]
	if need.Condition == 1 && ends || need.Condition == 2 && !ends {
		return types.ServiceConditionStarted
	}
	return conditions[need.Condition]
}

// Project is the wish as a loader would give it.
func (w *Wish) Project() *project.Project {
	model := &types.Project{Name: "x", Services: types.Services{}, DisabledServices: types.Services{}, Networks: types.Networks{}, Volumes: types.Volumes{}}
	for i := range 2 {
		key := fmt.Sprintf("n%d", i)
		model.Networks[key] = types.NetworkConfig{Name: "x_" + key, Internal: w.Internal[i]}
		key = fmt.Sprintf("v%d", i)
		v := types.VolumeConfig{Name: "x_" + key}
		if w.Driver[i] {
			v.DriverOpts = types.Options{"size": "1g"}
		}
		model.Volumes[key] = v
	}
	model.Networks["default"] = types.NetworkConfig{Name: "x_default"}
	checked := w.checked()
	for i := range w.Services {
		switch s := w.service(i, checked[i]); {
		case w.enabled(i):
			model.Services[s.Name] = s
		case w.Services[i].There:
			model.DisabledServices[s.Name] = s
		}
	}
	return &project.Project{Project: model}
}

// Desired is what the project wants.
func (w *Wish) Desired() *desired.Project {
	d, _, err := desired.FromProject(w.Project(), desired.Input{})
	if err != nil {
		panic(fmt.Sprintf("a wish that cannot be: %v", err)) // a fault of this package
	}
	return d
}

// checked are the services that need a health check because others wait for it.
func (w *Wish) checked() (out [MaxServices]bool) {
	for i := range w.Services {
		out[i] = out[i] || w.Services[i].Health
		for j, need := range w.Services[i].Needs {
			out[j] = out[j] || need.There && need.Condition == 1
		}
	}
	return out
}

func (w *Wish) service(i int, checked bool) types.ServiceConfig {
	s := &w.Services[i]
	env, scale := strconv.Itoa(s.Env), s.Scale
	out := types.ServiceConfig{Name: Name(i), Scale: &scale}
	out.Image, out.Command = Images[s.Image], types.ShellCommand{"sleep", "100000"}
	out.Environment = types.MappingWithEquals{"A": &env}
	out.Labels = types.Labels{"a": strconv.Itoa(s.Label)}
	out.MemLimit = types.UnitBytes(s.Memory) * 64 << 20
	out.Restart = []string{"", "always", "unless-stopped"}[s.Restart]
	ends := w.ends()[i]
	if ends {
		out.Command, out.Restart = types.ShellCommand{"true"}, ""
	}
	if checked {
		second := types.Duration(1e9)
		out.HealthCheck = &types.HealthCheckConfig{Test: types.HealthCheckTest{"CMD", "health"}, Interval: &second}
	}
	w.volumes(s, &out)
	w.dependencies(i, &out)
	w.networks(i, &out)
	hooks(s, &out)
	if ends { // nothing can be executed in what ends at once
		out.PostStart, out.PreStop = nil, nil
	}
	update(s, &out)
	return out
}

func (w *Wish) volumes(s *Service, out *types.ServiceConfig) {
	if s.Volume == 0 {
		return
	}
	if s.Volume < 3 {
		key := fmt.Sprintf("v%d", s.Volume-1)
		out.Volumes = append(out.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Source: key, Target: "/data"})
	}
	if s.Volume > 1 {
		out.Volumes = append(out.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Target: "/anonymous"})
	}
}

func (w *Wish) dependencies(i int, out *types.ServiceConfig) {
	s := &w.Services[i]
	out.DependsOn = types.DependsOnConfig{}
	for j, need := range s.Needs {
		if need.There && w.enabled(j) {
			out.DependsOn[Name(j)] = types.ServiceDependency{Condition: w.condition(need, j), Restart: need.Restart, Required: need.Required}
		}
	}
	// What the loader makes of shared namespaces and volumes.
	j := s.Shares - 1
	if j < 0 || !w.enabled(j) || w.Services[j].Scale == 0 {
		return
	}
	if _, stated := out.DependsOn[Name(j)]; !stated {
		out.DependsOn[Name(j)] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Restart: !s.From, Required: true}
	}
	if s.From {
		out.VolumesFrom = []string{Name(j)}
	} else {
		out.NetworkMode = types.ServicePrefix + Name(j)
	}
}

func (w *Wish) networks(i int, out *types.ServiceConfig) {
	s := &w.Services[i]
	if out.NetworkMode != "" {
		return
	}
	out.Networks = map[string]*types.ServiceNetworkConfig{}
	for n := range 2 {
		if s.Networks&(1<<n) != 0 {
			out.Networks[fmt.Sprintf("n%d", n)] = &types.ServiceNetworkConfig{Aliases: []string{"also", "alias"}[:s.Alias]}
		}
	}
	if len(out.Networks) == 0 {
		out.Networks["default"] = nil
	}
	if s.Port && s.Scale == 1 {
		published := strconv.Itoa(8000 + (i+w.Shift)%MaxServices)
		out.Ports = []types.ServicePortConfig{{Mode: "ingress", Target: 80, Published: published, Protocol: "tcp"}}
	}
}

func hooks(s *Service, out *types.ServiceConfig) {
	if s.Hooks == 0 {
		return
	}
	hook := func(name string) []types.ServiceHook {
		return []types.ServiceHook{{Command: types.ShellCommand{"echo", name}}}
	}
	out.PostStart, out.PreStop = hook("post"), hook("pre")
	if s.Hooks > 1 {
		out.PreStart = []types.PreStartHook{preStart(out, false), preStart(out, s.Hooks > 2)}
	}
}

// preStart is a hook that has inherited from the service, as in a loaded project.
func preStart(out *types.ServiceConfig, perReplica bool) types.PreStartHook {
	h := types.PreStartHook{PerReplica: perReplica}
	h.Image, h.Command = out.Image, types.ShellCommand{"true"}
	h.Environment, h.Labels = maps.Clone(out.Environment), maps.Clone(out.Labels)
	h.Networks, h.NetworkMode = out.Networks, out.NetworkMode
	return h
}

func update(s *Service, out *types.ServiceConfig) {
	if s.Update == 0 {
		return
	}
	one, two := uint64(1), uint64(2)
	out.Deploy = &types.DeployConfig{UpdateConfig: []*types.UpdateConfig{
		{Order: "start-first", Parallelism: &one, FailureAction: "rollback", Monitor: types.Duration(1e9)},
		{Order: "stop-first", Parallelism: &two, FailureAction: "pause", Delay: types.Duration(1e9)},
		{Order: "start-first", Parallelism: &two, FailureAction: "continue", MaxFailureRatio: 0.5},
	}[s.Update-1]}
}

// Published are the ports of the host that the project wants.
func Published(d *desired.Project) []string {
	var out []string
	for _, s := range d.Services {
		for _, c := range s.Containers {
			for _, bindings := range c.Config.Host.PortBindings {
				for _, b := range bindings {
					out = append(out, b.HostPort)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// String writes down what is there.
func (w *Wish) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "internal %v, driver %v, shift %d\n", w.Internal, w.Driver, w.Shift)
	for i := range w.Services {
		s := w.Services[i]
		if !s.There {
			continue
		}
		needs := s.Needs
		s.Needs = [MaxServices]Need{}
		text, _, _ := strings.Cut(fmt.Sprintf("%+v", s), " Needs:")
		fmt.Fprintf(&b, "%s %s", Name(i), text)
		for j, n := range needs {
			if n.There {
				fmt.Fprintf(&b, " needs %s %s restart:%t required:%t", Name(j), w.condition(n, j), n.Restart, n.Required)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
