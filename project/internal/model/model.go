// Package model makes a merged tree into compose-go's types.Project: short forms become long, values are decoded, defaults
// and names are filled in, relative paths become absolute, and environments are completed.
//
// Canonical makes the long forms, which merging needs. Build does the rest, one service after the other: decode → defaults →
// paths → what the specification implies (networks, names, dependencies) → pre_start hooks → environment. It does not
// change the tree, so that the tree's places stay good for messages.
package model

import (
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"

	"github.com/compose-spec/compose-go/v2/types"
)

// Options says what a tree is made into.
type Options struct {
	Name     string            // of the project
	Dir      string            // where relative paths start that no file states, absolute
	Env      map[string]string // the project's variables; a value of a file with an Env is looked up there first
	Profiles []string          // the active ones; "*" is all

	NoInterpolate    bool // variables were left as they are written: a value with one that cannot be decoded is left out
	NoNormalize      bool // no default network, names of resources, implied dependencies and build defaults
	NoPathResolution bool // relative paths stay relative; those of other files are seen from Dir
	NoEnvResolution  bool // env_file and label_file are not read

	Notice func(Notice) // is told what was probably not meant in env files; may be nil
}

// Error is a mistake in what the user wrote.
type Error struct {
	Place   tree.Place
	Quote   string // the line, where it is in an env file
	Problem string
	Fix     string // what to write instead; may be empty
	Rule    string // the kind of mistake
}

func (e Error) Error() string { return e.Problem }

// Notice is something legal in an env file that was probably not meant.
type Notice struct {
	variables.Notice
	Place tree.Place
	Quote string // the line
}

// Build makes the project of a tree in its long form. There may be several errors; then there is no project.
func Build(root *tree.Value, o Options) (*types.Project, []Error) {
	b := newBuilder(o)
	p := &types.Project{
		Name:             o.Name,
		WorkingDir:       o.Dir,
		Environment:      o.Env,
		Profiles:         o.Profiles,
		Services:         make(types.Services, len(entriesOf(root.Get("services")))),
		DisabledServices: make(types.Services),
	}
	b.services(p, root.Get("services"))
	b.jobs(p, root.Get("jobs"))
	b.resources(p, root)
	b.decode(root.Get("models"), &p.Models)
	p.Extensions = extensions(root)
	if len(b.errors) > 0 {
		return nil, b.errors
	}
	return p, nil
}

// ReadFiles completes the environment and labels of the services with their env_file and label_file. Build does so for
// those that the profiles let in; this is for a service that is let in later.
func ReadFiles(p *types.Project, root *tree.Value, o Options, services ...string) []Error {
	b := newBuilder(o)
	for _, name := range services {
		s, ok := p.Services[name]
		if !ok {
			continue
		}
		b.serviceFiles(&s, root.Get("services").Get(name))
		p.Services[name] = s
	}
	return b.errors
}

// builder is Build at work.
type builder struct {
	Options
	decoder
	files map[string]*content // what was read, by path
	told  map[told]bool
	room  int // how many bytes env files and label files may still come to

	defaultNetwork bool // some service is in it
}

func newBuilder(o Options) *builder {
	return &builder{Options: o, decoder: decoder{variables: o.NoInterpolate}, files: make(map[string]*content), told: make(map[told]bool), room: maxFileBytes}
}

func (b *builder) services(p *types.Project, all *tree.Value) {
	var s types.ServiceConfig
	for i := range entriesOf(all) {
		e := &all.Entries[i]
		s = types.ServiceConfig{Name: e.Key}
		b.decode(e.Value, &s)
		b.service(&s, e.Value)
		if !s.HasProfile(b.Profiles) {
			p.DisabledServices[e.Key] = s
			continue
		}
		b.serviceFiles(&s, e.Value)
		p.Services[e.Key] = s
	}
}

// service completes a decoded service.
func (b *builder) service(s *types.ServiceConfig, v *tree.Value) {
	b.container(&s.ContainerSpec, v)
	b.workload(&s.WorkloadSpec, v)
	deployDefaults(s.Deploy, v.Get("deploy"))
	b.developPaths(s.Develop, v.Get("develop").Get("watch"))
	if file := v.Get("extends").Get("file"); file != nil && s.Extends != nil {
		s.Extends.File = b.absolute(file, s.Extends.File)
	}
	if !b.NoNormalize {
		if s.Provider == nil {
			b.network(&s.ContainerSpec, v)
		}
		implyDependencies(&s.ContainerSpec, &s.WorkloadSpec, s.Links)
	}
	b.inherit(s, v)
}

func (b *builder) jobs(p *types.Project, all *tree.Value) {
	if all == nil || all.Kind != tree.Map {
		return
	}
	p.Jobs, p.DisabledJobs = make(types.Jobs), make(types.Jobs)
	for i := range all.Entries {
		e := &all.Entries[i]
		j := types.JobConfig{Name: e.Key}
		b.decode(e.Value, &j)
		b.container(&j.ContainerSpec, e.Value)
		b.workload(&j.WorkloadSpec, e.Value)
		if !b.NoNormalize {
			b.network(&j.ContainerSpec, e.Value)
			implyDependencies(&j.ContainerSpec, &j.WorkloadSpec, nil)
		}
		if j.HasProfile(b.Profiles) {
			p.Jobs[e.Key] = j
		} else {
			p.DisabledJobs[e.Key] = j
		}
	}
}

// container completes what services, jobs and pre_start hooks have in common.
func (b *builder) container(c *types.ContainerSpec, v *tree.Value) {
	containerDefaults(c, v)
	b.containerPaths(c, v)
	if !b.NoNormalize || !b.NoEnvResolution {
		b.fill(c.Environment, v.Get("environment"))
	}
	if !b.NoNormalize {
		normalizeContainer(c)
	}
}

// workload completes what services and jobs have in common beyond that.
func (b *builder) workload(w *types.WorkloadSpec, v *tree.Value) {
	workloadDefaults(w)
	if w.Build == nil {
		return
	}
	build := v.Get("build")
	if w.Build.Context == "" && !build.Get("context").Scalar() {
		w.Build.Context = "."
	}
	b.buildPaths(w.Build, build)
	if b.NoNormalize {
		return
	}
	if w.Build.Dockerfile == "" && w.Build.DockerfileInline == "" {
		w.Build.Dockerfile = "Dockerfile"
	}
	b.fill(w.Build.Args, build.Get("args"))
	w.Build.Args.RemoveEmpty()
}

// extensions are the attributes of a mapping that begin with "x-".
func extensions(v *tree.Value) types.Extensions {
	var out types.Extensions
	for _, e := range v.Entries {
		if strings.HasPrefix(e.Key, "x-") {
			if out == nil {
				out = make(types.Extensions)
			}
			out[e.Key] = plain(e.Value)
		}
	}
	return out
}

// entriesOf are the entries of a mapping, none of anything else.
func entriesOf(v *tree.Value) []tree.Entry {
	if v == nil || v.Kind != tree.Map {
		return nil
	}
	return v.Entries
}

// itemsOf are the items of a list, none of anything else.
func itemsOf(v *tree.Value) []*tree.Value {
	if v == nil || v.Kind != tree.List {
		return nil
	}
	return v.Items
}
