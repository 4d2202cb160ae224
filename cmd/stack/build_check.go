package main

import (
	"context"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/project/lint"
)

// checkBuilds says what BuildKit's checks find in the Dockerfiles of the project's services, as lint does of all of them.
func (a *app) checkBuilds(ctx context.Context, p *project.Project, args map[string]*string) error {
	findings, err := lint.Check(ctx, withArgs(p, args), lint.Options{})
	if err != nil {
		return err
	}
	findings = slices.DeleteFunc(findings, func(f lint.Finding) bool { return !aboutDockerfiles(f) })
	if err := a.showFindings("text", findings); err != nil {
		return err
	}
	if len(findings) > 0 {
		return exitCode(exitChanges)
	}
	return nil
}

// withArgs is the project with no service but those that were selected, whose builds have the arguments.
func withArgs(p *project.Project, args map[string]*string) *project.Project {
	model := *p.Project
	model.DisabledServices = nil
	model.Services = maps.Clone(p.Services)
	for name, service := range model.Services {
		if service.Build == nil || len(args) == 0 {
			continue
		}
		build := *service.Build
		build.Args = maps.Clone(build.Args)
		if build.Args == nil {
			build.Args = types.MappingWithEquals{}
		}
		maps.Copy(build.Args, args)
		service.Build = &build
		model.Services[name] = service
	}
	out := *p
	out.Project = &model
	return &out
}

// aboutDockerfiles tells BuildKit's checks from the rules about Compose files, and from comments that silence nothing,
// which cannot be silenced.
func aboutDockerfiles(f lint.Finding) bool {
	return f.Silence != "" && !slices.ContainsFunc(lint.Rules(), func(r lint.Rule) bool { return r.Name == f.Rule })
}
