package main

import (
	"maps"
	"slices"

	"stackrun.dev/stack/cmd/stack/internal/programs"
	"stackrun.dev/stack/project"
)

// programEnv is the environment of programs that are run for the project: that of this process, and what the project's env
// files add.
func (a *app) programEnv() map[string]string {
	env := maps.Clone(a.loaded)
	if env == nil {
		env = make(map[string]string)
	}
	maps.Copy(env, environment(a.environ))
	return env
}

// checkPrograms says which programs beside the engine are missing that the services need, or what they depend on. No
// services: all.
func (a *app) checkPrograms(p *project.Project, services []string) error {
	if p, err := p.Select(services, false); err != nil {
		return err
	} else {
		return missingPrograms(p, programs.New(a.programEnv(), ""))
	}
}

func missingPrograms(p *project.Project, runner *programs.Runner) error {
	var out project.Errors
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if s.Provider != nil && s.Provider.Type != "compose" && runner.Provider(s.Provider.Type) == "" {
			kind := s.Provider.Type
			out = append(out, p.Mistake("there is no provider "+kind, "install docker's plugin docker-"+kind+", or a program "+kind+" in a folder of PATH", "services", name, "provider", "type"))
		}
		if len(s.Models) > 0 && runner.ModelRunner() == "" {
			out = append(out, p.Mistake("models need the program docker-model", "install Docker's model runner: the plugin docker-model in ~/.docker/cli-plugins or /usr/libexec/docker/cli-plugins", "services", name, "models"))
		}
	}
	return out.Sorted()
}
