package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Provider is what a service is that a program outside the engine provides: a database of a cloud, for example.
type Provider struct {
	Type    string   `json:"type"` // which program
	Options []Option `json:"options,omitempty"`
}

// Option is one option of a Provider, with one of its values.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Model is a language model that a model runner serves.
type Model struct {
	Key          string   `json:"key"`   // in the Compose file
	Model        string   `json:"model"` // its name for the runner
	ContextSize  int      `json:"contextSize,omitempty"`
	RuntimeFlags []string `json:"runtimeFlags,omitempty"`
}

// ModelUse is a model that a service uses, and the variable that tells its containers where it is served.
type ModelUse struct {
	Model
	EndpointVariable string
}

// Variables are what a provider tells the services that depend on it.
type Variables struct {
	Prefixed map[string]string // to be named after the provider's service
	Raw      map[string]string // as they are
}

// Given is what only other programs know, and is part of what containers are made of.
type Given struct {
	Variables map[string]Variables // by the provider's service
	Endpoints map[string]string    // by the model's key
}

// Merge adds more.
func (g Given) Merge(more Given) Given {
	out := Given{Variables: maps.Clone(g.Variables), Endpoints: maps.Clone(g.Endpoints)}
	if out.Variables == nil {
		out.Variables = make(map[string]Variables)
	}
	if out.Endpoints == nil {
		out.Endpoints = make(map[string]string)
	}
	maps.Copy(out.Variables, more.Variables)
	maps.Copy(out.Endpoints, more.Endpoints)
	return out
}

// With is the project with what is given in the environment of its containers. The notes name variables that are
// overridden.
func (p *Project) With(g Given) (out *Project, notes []string) {
	copied := *p
	copied.Services = slices.Clone(p.Services)
	for i := range copied.Services {
		s := &copied.Services[i]
		env, said := g.environment(s)
		notes = append(notes, said...)
		if len(env) > 0 {
			s.setEnv(env)
		}
	}
	return &copied, notes
}

// environment is what is given to the service.
func (g Given) environment(s *Service) (env map[string]string, notes []string) {
	env = make(map[string]string)
	for _, use := range s.Models {
		if endpoint, known := g.Endpoints[use.Key]; known {
			env[use.EndpointVariable] = endpoint
		}
	}
	for _, dep := range s.DependsOn {
		v, known := g.Variables[dep.Service]
		if !known {
			continue
		}
		for name, value := range v.Prefixed {
			env[strings.ToUpper(dep.Service)+"_"+name] = value
		}
		for _, name := range sortedKeys(v.Raw) {
			if s.overrides(name, v.Raw[name]) {
				notes = append(notes, fmt.Sprintf("%s gives %s another value than service %s states; the provider's counts", dep.Service, name, s.Name))
			}
			env[name] = v.Raw[name]
		}
	}
	return env, notes
}

// overrides says that the service states the variable, with another value.
func (s *Service) overrides(name, value string) bool {
	if len(s.Containers) == 0 {
		return false
	}
	return slices.ContainsFunc(s.Containers[0].Config.Config.Env, func(line string) bool {
		n, v, _ := strings.Cut(line, "=")
		return n == name && v != value
	})
}

// setEnv gives the service's containers further variables, over those that they have.
func (s *Service) setEnv(env map[string]string) {
	s.PreStart = slices.Clone(s.PreStart)
	for i := range s.PreStart {
		config := *s.PreStart[i].Config.Config
		config.Env = withVariables(config.Env, env)
		s.PreStart[i].Config.Config = &config
	}
	ofHooks := hookSettings(s)
	s.Containers = slices.Clone(s.Containers)
	for i := range s.Containers {
		c := &s.Containers[i]
		config := *c.Config.Config
		config.Env, config.Labels = withVariables(config.Env, env), maps.Clone(config.Labels)
		c.Config.Config = &config
		c.Settings = containerSettings(c).merge(ofHooks)
		c.Hash = c.Settings.Hash()
		config.Labels[LabelHash] = c.Hash
	}
}

func withVariables(lines []string, env map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		_, given := env[name]
		return given
	})
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// provider reads the service's provider, whose program gets the options in the order of their names.
func (s *serviceBuilder) provider() *Provider {
	model := s.ServiceConfig.Provider
	if model.Type == "compose" {
		s.mistake("a provider cannot be of the type compose", "name the program that provides the service", "provider", "type")
	}
	out := &Provider{Type: model.Type}
	for _, name := range sortedKeys(model.Options) {
		for _, value := range model.Options[name] {
			out.Options = append(out.Options, Option{name, value})
		}
	}
	return out
}

// models are the models that the service uses. Their names are put into its environment; where they are served is given
// later, see Given.
func (s *serviceBuilder) models() []ModelUse {
	var out []ModelUse
	for _, key := range sortedKeys(s.Models) {
		model, known := s.b.project.Models[key]
		if !known {
			s.mistake("there is no model "+key, "declare it under models", "models", key)
			continue
		}
		endpoint, name := modelVariables(key, s.Models[key])
		if s.Environment = maps.Clone(s.Environment); s.Environment == nil {
			s.Environment = types.MappingWithEquals{}
		}
		s.Environment[name] = &model.Model
		out = append(out, ModelUse{
			Model:            Model{Key: key, Model: model.Model, ContextSize: model.ContextSize, RuntimeFlags: model.RuntimeFlags},
			EndpointVariable: endpoint,
		})
	}
	return out
}

// modelVariables are the names of the variables, by default after the model.
func modelVariables(key string, c *types.ServiceModelConfig) (endpoint, name string) {
	prefix := strings.ReplaceAll(strings.ToUpper(key), "-", "_")
	endpoint, name = prefix+"_URL", prefix+"_MODEL"
	if c != nil && c.EndpointVariable != "" {
		endpoint = c.EndpointVariable
	}
	if c != nil && c.ModelVariable != "" {
		name = c.ModelVariable
	}
	return endpoint, name
}
