package main

import (
	"context"
	"errors"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/programs"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

// desire computes what the project wants, with the scale given on the command line, and prints what has no effect.
func (a *app) desire(p *project.Project, scale map[string]int) (*desired.Project, error) {
	d, warnings, err := a.desireOf(p, scale)
	if warnErr := a.warn(warnings); warnErr != nil {
		return nil, errors.Join(warnErr, err)
	}
	return d, err
}

// desireOf is desire with the warnings left to the caller.
func (a *app) desireOf(p *project.Project, scale map[string]int) (*desired.Project, []project.Warning, error) {
	contents, err := p.ReadContents()
	if err != nil {
		return nil, nil, err
	}
	in := desired.Input{Scale: scale, Contents: contents, Separator: a.separator()}
	if err := a.apiSocket(p, &in); err != nil {
		return nil, nil, err
	}
	return desired.FromProject(p, in)
}

// apiSocket says where the engine's socket is and what docker login stored, if a service asks for it.
func (a *app) apiSocket(p *project.Project, in *desired.Input) error {
	asks := false
	for _, s := range p.Services {
		asks = asks || s.UseAPISocket
	}
	if !asks {
		return nil
	}
	target, err := launch.Locate(a.global.host, a.getenv)
	if err != nil {
		return usageError{err}
	}
	in.APISocket, _ = strings.CutPrefix(target.Host, "unix://")
	if strings.Contains(in.APISocket, "://") {
		in.APISocket = "" // on another machine, where it is where Docker has it
	}
	in.Credentials, err = allCredentials()
	return err
}

// executeOptions are the choices that every plan is carried out with.
func (s *session) executeOptions() execute.Options {
	runner := programs.New(s.programEnv(), s.target.Host)
	return execute.Options{Limit: s.parallel(), Provide: runner.Provide, Serve: runner.Serve, Auth: func(ref string) string {
		auth, err := registryAuth(ref)
		if err != nil {
			// The registry may not ask for credentials at all; if it does, it says so.
			_ = s.warn([]project.Warning{{Text: "cannot read the credentials for " + ref + ": " + err.Error()}})
		}
		return auth
	}}
}

// carryOut carries out a plan that a command has made by itself, and shows how it goes on.
func (s *session) carryOut(ctx context.Context, title string, p *plan.Plan, quiet bool) error {
	progress, err := s.progress(title)
	if quiet && err == nil {
		progress, err = view.NewProgress("quiet", title, s.err, view.Style{})
	}
	if err != nil {
		return err
	}
	result := execute.Run(ctx, s.Engine, p, s.executeOptions(), narrate(ctx, progress).event)
	progress.Close()
	return inOperations(result.Err())
}
