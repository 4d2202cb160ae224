package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute/buildcontext"
	"stackrun.dev/stack/project"
)

// bakeFile is a file for docker buildx bake, in its JSON form:
// https://docs.docker.com/build/bake/reference/.
type bakeFile struct {
	Groups  map[string]bakeGroup  `json:"group"`
	Targets map[string]bakeTarget `json:"target"`
}

type bakeGroup struct {
	Targets []string `json:"targets"`
}

type bakeTarget struct {
	Context          string            `json:"context,omitempty"`
	Contexts         map[string]string `json:"contexts,omitempty"`
	Dockerfile       string            `json:"dockerfile,omitempty"`
	DockerfileInline string            `json:"dockerfile-inline,omitempty"`
	Args             map[string]string `json:"args,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	CacheFrom        []string          `json:"cache-from,omitempty"`
	CacheTo          []string          `json:"cache-to,omitempty"`
	Target           string            `json:"target,omitempty"`
	Secrets          []string          `json:"secret,omitempty"`
	SSH              []string          `json:"ssh,omitempty"`
	Platforms        []string          `json:"platforms,omitempty"`
	Pull             bool              `json:"pull,omitempty"`
	NoCache          bool              `json:"no-cache,omitempty"`
	NoCacheFilter    []string          `json:"no-cache-filter,omitempty"`
	Network          string            `json:"network,omitempty"`
	ShmSize          string            `json:"shm-size,omitempty"`
	Ulimits          []string          `json:"ulimits,omitempty"`
	Entitlements     []string          `json:"entitlements,omitempty"`
	ExtraHosts       map[string]string `json:"extra-hosts,omitempty"`
	Call             string            `json:"call,omitempty"`
	Outputs          []string          `json:"output,omitempty"`
}

// printBake prints what would be built, and that of which it is made.
func (a *app) printBake(p *project.Project, builds []*desired.Build, o buildOptions) error {
	b := baker{project: p, options: o, own: environment(a.environ), names: map[string]string{}, file: bakeFile{Targets: map[string]bakeTarget{}}}
	var group bakeGroup
	for _, build := range builds {
		group.Targets = append(group.Targets, b.add(build))
	}
	slices.Sort(group.Targets)
	b.file.Groups = map[string]bakeGroup{"default": group}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b.file); err != nil {
		return err
	}
	// Every string of a bake file is a template.
	_, err := strings.NewReplacer("${", "$${", "%{", "%%{").WriteString(a.out, out.String())
	return err
}

// baker makes a bake file of builds.
type baker struct {
	project *project.Project
	options buildOptions
	own     map[string]string // this process's environment
	names   map[string]string // targets by service
	file    bakeFile
}

// add returns the name of the build's target.
func (b *baker) add(build *desired.Build) string {
	if name, ok := b.names[build.Service]; ok {
		return name
	}
	name := strings.ReplaceAll(build.Service, ".", "_") // a dot is not allowed there
	for taken := true; taken; {
		if _, taken = b.file.Targets[name]; taken {
			name += "_"
		}
	}
	b.names[build.Service] = name
	b.file.Targets[name] = bakeTarget{} // the name is taken while others are added
	b.file.Targets[name] = b.target(build)
	return name
}

func (b *baker) target(build *desired.Build) bakeTarget {
	o, kit := build.Options, build.Kit
	t := bakeTarget{
		Context: build.Context, Contexts: b.contexts(build), DockerfileInline: build.Inline, Dockerfile: build.Dockerfile, Args: b.args(o.BuildArgs),
		Labels: o.Labels, Tags: o.Tags, Target: o.Target, Pull: o.PullParent, NoCache: o.NoCache, NoCacheFilter: kit.NoCacheFilter,
		CacheFrom: slices.Concat(o.CacheFrom, kit.CacheFrom), CacheTo: kit.CacheTo, Network: o.NetworkMode, Entitlements: kit.Entitlements,
		Secrets: b.secrets(build.Service),
	}
	if t.Dockerfile != "" && !filepath.IsAbs(t.Dockerfile) && !buildcontext.Remote(build) {
		t.Dockerfile = filepath.Join(build.Context, t.Dockerfile)
	}
	for _, agent := range kit.SSH {
		text := agent.ID
		if len(agent.Paths) > 0 {
			text += "=" + strings.Join(agent.Paths, ",")
		}
		t.SSH = append(t.SSH, text)
	}
	if o.Platform != "" {
		t.Platforms = []string{o.Platform}
	}
	if o.ShmSize > 0 {
		t.ShmSize = fmt.Sprint(o.ShmSize)
	}
	for _, limit := range o.Ulimits {
		t.Ulimits = append(t.Ulimits, limit.String())
	}
	for _, entry := range o.ExtraHosts {
		host, address, _ := strings.Cut(entry, ":")
		if t.ExtraHosts == nil {
			t.ExtraHosts = map[string]string{}
		}
		if known := t.ExtraHosts[host]; known != "" {
			address = known + "," + address
		}
		t.ExtraHosts[host] = address
	}
	switch {
	case b.options.check:
		t.Call = "lint"
	case b.options.push:
		t.Outputs = []string{"type=registry"}
	default:
		t.Outputs = []string{"type=docker"}
	}
	return t
}

// contexts are the further ones. One that is another build's image is that build's target.
func (b *baker) contexts(build *desired.Build) map[string]string {
	out := maps.Clone(build.Kit.Contexts)
	for _, first := range build.After {
		target := b.add(first)
		for name, value := range out {
			if value == "docker-image://"+first.Image() {
				out[name] = "target:" + target
			}
		}
	}
	return out
}

// args leaves out those that get their value from the environment, which has none for them.
func (b *baker) args(from map[string]*string) map[string]string {
	out := make(map[string]string, len(from))
	for name, value := range from {
		if value != nil {
			out[name] = *value
		} else if own, ok := b.own[name]; ok {
			out[name] = own
		}
	}
	return out
}

// secrets says where the contents are, and not what they are.
func (b *baker) secrets(service string) []string {
	var out []string
	for _, ref := range b.project.AllServices()[service].Build.Secrets {
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		switch secret := b.project.Secrets[ref.Source]; {
		case secret.File != "":
			out = append(out, "id="+id+",type=file,src="+secret.File)
		case secret.Environment != "":
			out = append(out, "id="+id+",type=env,env="+secret.Environment)
		}
	}
	return out
}
