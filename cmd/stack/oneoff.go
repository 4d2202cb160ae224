package main

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/google/shlex"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

// labelSlug holds what makes the name of a one-off container unique, as Compose does it.
const labelSlug = "com.docker.compose.slug"

// oneOffService is the container that run makes: a service of its own, equal to the named one but for the options. Its
// labels name the real service.
func (a *app) oneOffService(p *project.Project, o runOptions, name string, command []string) (desired.Service, error) {
	model := p.Services[name]
	slug := randomSlug()
	model.ContainerName = o.name
	if o.name == "" {
		model.ContainerName = strings.Join([]string{p.Name, name, "run", slug}, a.separator())
	}
	if err := a.override(&model, o, p.Env, command); err != nil {
		return desired.Service{}, err
	}
	changed := *p.Project
	changed.Services = maps.Clone(p.Services)
	changed.Services[name] = model
	for _, v := range model.Volumes {
		if _, known := changed.Volumes[v.Source]; v.Type == types.VolumeTypeVolume && v.Source != "" && !known {
			changed.Volumes = maps.Clone(changed.Volumes)
			if changed.Volumes == nil {
				changed.Volumes = types.Volumes{}
			}
			changed.Volumes[v.Source] = types.VolumeConfig{Name: v.Source, External: true}
		}
	}
	copied := *p
	copied.Project = &changed
	d, err := a.desire(&copied, map[string]int{name: 1})
	if err != nil {
		return desired.Service{}, err
	}
	return asOneOff(*d.Service(name), o, slug), nil
}

// asOneOff makes a service of one container into one that no plan for the real service touches.
func asOneOff(s desired.Service, o runOptions, slug string) desired.Service {
	c := s.Containers[0]
	config := *c.Config.Config
	config.Labels = maps.Clone(config.Labels)
	config.Labels[desired.LabelOneOff] = "True"
	config.Labels[labelSlug] = slug
	config.StdinOnce = config.OpenStdin
	config.AttachStdin = config.OpenStdin
	config.AttachStdout, config.AttachStderr = !o.detach, !o.detach
	c.Config.Config = &config
	host := *c.Config.Host
	host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	host.AutoRemove = o.remove && o.detach
	c.Config.Host = &host
	if c.Config.Networking != nil && !o.useAliases {
		for _, endpoint := range c.Config.Networking.EndpointsConfig {
			if endpoint != nil {
				endpoint.Aliases = nil
			}
		}
	}
	s.Name += " (run " + slug + ")"
	s.Containers = []desired.Container{c}
	s.PreStart = nil // as with Compose: they prepare the service itself
	return s
}

func randomSlug() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// override applies the command line to the service's model.
func (a *app) override(model *types.ServiceConfig, o runOptions, env map[string]string, command []string) error {
	tty := a.terminalOf() != nil && !o.noTTY && !o.detach
	model.Tty, model.StdinOpen = tty, !o.noStdin && !o.detach
	model.Scale, model.Deploy = nil, withoutReplicas(model.Deploy)
	model.Restart = ""
	if len(command) > 0 {
		model.Command = command
	}
	if o.entrypointGiven {
		words, err := shlex.Split(o.entrypoint)
		if err != nil {
			return usagef("entrypoint %q: %w", o.entrypoint, err)
		}
		model.Entrypoint = append(types.ShellCommand{}, words...)
		if len(command) == 0 {
			model.Command = nil
		}
	}
	if o.user != "" {
		model.User = o.user
	}
	if o.workdir != "" {
		model.WorkingDir = o.workdir
	}
	model.CapAdd = slices.Concat(model.CapAdd, o.capAdd)
	model.CapDrop = slices.Concat(model.CapDrop, o.capDrop)
	if err := overrideEnv(model, o, env); err != nil {
		return err
	}
	if err := overrideLabels(model, o); err != nil {
		return err
	}
	return overrideMounts(model, o)
}

func withoutReplicas(d *types.DeployConfig) *types.DeployConfig {
	if d == nil {
		return nil
	}
	out := *d
	out.Replicas = nil
	return &out
}

// overrideEnv adds variables; the command line wins over files. A name without a value has that of the project's variables.
func overrideEnv(model *types.ServiceConfig, o runOptions, env map[string]string) error {
	model.Environment = maps.Clone(model.Environment)
	if model.Environment == nil {
		model.Environment = types.MappingWithEquals{}
	}
	for _, file := range o.envFiles {
		values, err := project.ReadEnvFile(file, env)
		if err != nil {
			return err
		}
		for name, value := range values {
			model.Environment[name] = &value
		}
	}
	for _, pair := range o.env {
		if name, value, ok := cutEnv(pair, env); ok {
			model.Environment[name] = &value
		}
	}
	return nil
}

func overrideLabels(model *types.ServiceConfig, o runOptions) error {
	model.Labels = maps.Clone(model.Labels)
	if model.Labels == nil {
		model.Labels = types.Labels{}
	}
	for _, pair := range o.labels {
		name, value, _ := strings.Cut(pair, "=")
		if name == "" {
			return usagef("label %q is not of the form NAME=value", pair)
		}
		model.Labels[name] = value
	}
	return nil
}

// overrideMounts sets ports and volumes. Of the service's ports none is published unless that is asked for.
func overrideMounts(model *types.ServiceConfig, o runOptions) error {
	if !o.servicePorts {
		model.Ports = nil
	}
	for _, spec := range o.publish {
		ports, err := types.ParsePortConfig(spec)
		if err != nil {
			return usagef("port %q: %w", spec, err)
		}
		model.Ports = append(slices.Clip(model.Ports), ports...)
	}
	for _, spec := range o.volumes {
		volume, err := parseVolume(spec)
		if err != nil {
			return err
		}
		model.Volumes = append(slices.DeleteFunc(slices.Clone(model.Volumes), func(v types.ServiceVolumeConfig) bool {
			return v.Target == volume.Target
		}), volume)
	}
	return nil
}

// parseVolume reads SOURCE:TARGET[:OPTIONS]; a source that is a path is taken from the working directory.
func parseVolume(spec string) (types.ServiceVolumeConfig, error) {
	volume, err := format.ParseVolume(spec)
	if err != nil {
		return volume, usagef("volume %q: %w", spec, err)
	}
	if volume.Type == types.VolumeTypeBind {
		if volume.Source, err = absolutePath(volume.Source); err != nil {
			return volume, err
		}
	}
	return volume, nil
}
