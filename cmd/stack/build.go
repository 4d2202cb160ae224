package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

type buildOptions struct {
	noCache, pull, quiet, push, dependencies bool
	check, print                             bool

	args, ssh                         []string
	builder, memory, provenance, sbom string
}

func newBuild(a *app) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build the images of services that say how",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.args, "build-arg", nil, "Build argument NAME=value, or NAME to pass on its value")
	f.StringVar(&o.builder, "builder", "", "Only default: the engine itself builds")
	f.BoolVar(&o.check, "check", false, "Check the Dockerfiles and build nothing; exit with 0 for nothing, 2 for findings")
	f.StringVarP(&o.memory, "memory", "m", "", "Only 0: BuildKit limits no build's memory")
	f.BoolVar(&o.noCache, "no-cache", false, "Do not use what earlier builds left")
	f.BoolVar(&o.print, "print", false, "Print what would be built as a file for docker buildx bake")
	f.StringVar(&o.provenance, "provenance", "", "Only false: an engine's image store keeps no attestations")
	f.BoolVar(&o.pull, "pull", false, "Fetch newer base images")
	f.BoolVar(&o.push, "push", false, "Then send the images to their registries")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Show failures only")
	f.StringVar(&o.sbom, "sbom", "", "Only false: an engine's image store keeps no attestations")
	f.StringArrayVar(&o.ssh, "ssh", nil, "SSH agent for the steps that mount it: default, or ID=SOCKET or ID=KEY[,KEY...]")
	f.BoolVar(&o.dependencies, "with-dependencies", false, "Also what the services depend on")
	return cmd
}

func runBuild(ctx context.Context, a *app, o buildOptions, services []string) error {
	if err := o.refuse(); err != nil {
		return err
	}
	ssh, err := sshAgents(o.ssh)
	if err != nil {
		return err
	}
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	if p, err = p.Select(services, !o.dependencies); err != nil {
		return err
	}
	if err := p.CheckBuilds(); err != nil {
		return err
	}
	choices := buildChoices{buildOptions: o, args: a.resolveArgs(o.args), ssh: ssh}
	if o.check && !o.print {
		return a.checkBuilds(ctx, p, choices.args)
	}
	d, err := a.desire(p, nil)
	if err != nil {
		return err
	}
	builds := choices.builds(d)
	if len(builds) == 0 {
		return a.warn([]project.Warning{{Text: "none of the services says how to build an image"}})
	}
	if o.print {
		return a.printBake(p, builds, o)
	}
	return a.with(ctx, func(s *session) error {
		if err := s.carryOut(ctx, "build", planBuilds(d.Name, builds), o.quiet); err != nil || !o.push {
			return err
		}
		return s.pushAll(ctx, refsOf(builds), pushOptions{quiet: o.quiet})
	})
}

// refuse says what Docker Compose passes on to docker buildx and no engine can do.
func (o buildOptions) refuse() error {
	if o.builder != "" && o.builder != "default" {
		return usagef("cannot build with the builder %q: the engine itself builds; choose another engine with --host", o.builder)
	}
	if o.memory != "" {
		switch limit, err := units.RAMInBytes(o.memory); {
		case err != nil:
			return usagef("value %q of --memory is no size", o.memory)
		case limit != 0:
			return usagef("cannot build with --memory %s: BuildKit limits no build's memory", o.memory)
		}
	}
	for _, attestation := range []struct{ name, value string }{{"provenance", o.provenance}, {"sbom", o.sbom}} {
		if wanted, err := strconv.ParseBool(attestation.value); attestation.value != "" && (wanted || err != nil) {
			return usagef("cannot build with --%s=%s: an engine's image store keeps no attestations", attestation.name, attestation.value)
		}
	}
	return nil
}

// sshAgents reads --ssh. A path is as seen from the working directory.
func sshAgents(texts []string) ([]desired.BuildSSH, error) {
	var out []desired.BuildSSH
	for _, text := range texts {
		id, paths, ok := strings.Cut(text, "=")
		if id == "" || !ok && id != "default" || ok && paths == "" {
			return nil, usagef("value %q of --ssh is none of default, ID=SOCKET, ID=KEY[,KEY...]", text)
		}
		agent := desired.BuildSSH{ID: id}
		for _, path := range strings.Split(paths, ",") {
			if path == "" {
				continue
			}
			path, err := absolutePath(path)
			if err != nil {
				return nil, err
			}
			agent.Paths = append(agent.Paths, path)
		}
		out = append(out, agent)
	}
	return out, nil
}

// buildChoices are the choices of the command line, read.
type buildChoices struct {
	buildOptions
	args map[string]*string
	ssh  []desired.BuildSSH
}

// builds are those of the project's services, with the choices.
func (c buildChoices) builds(d *desired.Project) []*desired.Build {
	var out []*desired.Build
	for _, service := range d.Services {
		if service.Build != nil {
			out = append(out, c.apply(service.Build))
		}
	}
	return out
}

// apply is the build, and those that it needs, with the choices.
func (c buildChoices) apply(from *desired.Build) *desired.Build {
	build := *from
	build.Options.NoCache = build.Options.NoCache || c.noCache
	build.Options.PullParent = build.Options.PullParent || c.pull
	if len(c.args) > 0 {
		all := maps.Clone(build.Options.BuildArgs)
		if all == nil {
			all = map[string]*string{}
		}
		maps.Copy(all, c.args)
		build.Options.BuildArgs = all
	}
	build.Kit.SSH = slices.DeleteFunc(slices.Clone(build.Kit.SSH), func(old desired.BuildSSH) bool {
		return slices.ContainsFunc(c.ssh, func(given desired.BuildSSH) bool { return given.ID == old.ID })
	})
	build.Kit.SSH = append(build.Kit.SSH, c.ssh...)
	build.After = make([]*desired.Build, len(from.After))
	for i, first := range from.After {
		build.After[i] = c.apply(first)
	}
	return &build
}

// planBuilds builds each image once, after those that it is made of.
func planBuilds(name string, builds []*desired.Build) *plan.Plan {
	out := &plan.Plan{Project: name}
	planned := map[string]bool{}
	for _, build := range builds {
		for _, op := range plan.BuildImages(build.Service, build) {
			if id := op.Head().ID; !planned[id] {
				planned[id] = true
				out.Operations = append(out.Operations, op)
			}
		}
	}
	return out
}

func refsOf(builds []*desired.Build) []string {
	refs := make([]string, len(builds))
	for i, build := range builds {
		refs[i] = build.Image()
	}
	return refs
}

// resolveArgs reads --build-arg. An argument without a value has the one that the environment gives it, if any.
func (a *app) resolveArgs(args []string) map[string]*string {
	own := environment(a.environ)
	out := make(map[string]*string, len(args))
	for _, arg := range args {
		if name, value, ok := cutEnv(arg, own); ok {
			out[name] = &value
		}
	}
	return out
}

// imagesToFetch are the images of services, each once, with what they are fetched for.
func imagesToFetch(d *desired.Project, meant func(desired.Service) bool) []desired.Service {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(d.Services), func(s desired.Service) bool {
		if s.Provider != nil || !meant(s) || seen[s.Image] {
			return true
		}
		seen[s.Image] = true
		return false
	})
}
