package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/keep"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

// keptUp is the command line of an up whose project is kept: what it takes to come to the same wish again, and what holds for
// more than the moment.
type keptUp struct {
	Files, EnvFiles, Profiles, InsecureRegistries []string `json:",omitempty"`

	ProjectName, ProjectDir             string `json:",omitempty"`
	AllResources, Compatibility, Strict bool   `json:",omitempty"`
	Parallel                            int    `json:",omitempty"`

	Services, Scale []string `json:",omitempty"`

	NoDeps, RemoveOrphans, NoBuild, RenewVolumes bool               `json:",omitempty"`
	NoRecreate, NoRecreateDeps                   bool               `json:",omitempty"`
	Pull                                         desired.PullPolicy `json:",omitempty"`
	Timeout                                      *int               `json:",omitempty"`
}

// keptUp is what is kept of this command line.
func (a *app) keptUp(o plan.UpOptions, scale []string) keptUp {
	g := a.global
	return keptUp{
		Files: g.files, EnvFiles: g.envFiles, Profiles: g.profiles, InsecureRegistries: g.insecureRegistries,
		ProjectName: g.projectName, ProjectDir: g.projectDir,
		AllResources: g.allResources, Compatibility: g.compatibility, Strict: g.strict, Parallel: g.parallel,
		Services: o.Services, Scale: scale,
		NoDeps: o.NoDeps, RemoveOrphans: o.RemoveOrphans, NoBuild: o.NoBuild, RenewVolumes: o.RenewVolumes,
		NoRecreate: o.Recreate == plan.RecreateNever, NoRecreateDeps: o.RecreateDeps == plan.RecreateNever,
		Pull: o.Pull, Timeout: o.Timeout,
	}
}

// globals are the flags before the command, without those about this terminal.
func (u keptUp) globals(host string) globalFlags {
	return globalFlags{
		files: u.Files, envFiles: u.EnvFiles, profiles: u.Profiles, insecureRegistries: u.InsecureRegistries,
		projectName: u.ProjectName, projectDir: u.ProjectDir,
		allResources: u.AllResources, compatibility: u.Compatibility, strict: u.Strict, parallel: u.Parallel,
		host: host, ansi: "never", progress: "quiet",
	}
}

// options are the plan's.
func (u keptUp) options() plan.UpOptions {
	o := plan.UpOptions{
		Services: u.Services, NoDeps: u.NoDeps, RemoveOrphans: u.RemoveOrphans, NoBuild: u.NoBuild, RenewVolumes: u.RenewVolumes,
		AllResources: u.AllResources, Pull: u.Pull, Timeout: u.Timeout,
	}
	if u.NoRecreate {
		o.Recreate = plan.RecreateNever
	}
	if u.NoRecreateDeps {
		o.RecreateDeps = plan.RecreateNever
	}
	return o
}

// declareKeep adds the flag that has the engine keep the project.
func (u *upFlags) declareKeep(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&u.keep, "keep", false, "With --detach: the engine keeps the project as its files say, until stack down")
}

// checkKeep says why the project cannot be kept, if that is asked for.
func (s *session) checkKeep(p *project.Project, flags upFlags) error {
	switch {
	case !flags.keep:
		return nil
	case !s.target.Embedded:
		return engine.Errorf(engine.ErrUnsupported, "--keep needs the embedded engine, in whose process the project is kept; on %s run stack up without --detach, under a service manager", s.target.Host)
	case slices.Contains(p.Files, "-"):
		return usagef("--keep reads the project's files again and again, and standard input can be read once only: write it to a file")
	}
	return nil
}

// isKept says whether the session's engine keeps the project.
func (s *session) isKept(name string) bool {
	return s.target.Embedded && keep.Known(s.target.Root, name)
}

func (s *session) keeper() *keep.Client { return keep.NewClient(s.target.Socket()) }

// holdKeeper lets the engine's keeper of the project rest while this command works on it.
func (s *session) holdKeeper(ctx context.Context, name string) (release func(), err error) {
	if s.global.dryRun || !s.isKept(name) {
		return func() {}, nil
	}
	return s.keeper().Hold(ctx, name)
}

// handOver has the engine keep the project as it was brought up just now: if that was asked for, or if the engine keeps it
// already and the whole project was brought up. Of a kept project, a new scale counts in any case.
func (s *session) handOver(ctx context.Context, title, name string, o plan.UpOptions, flags upFlags) error {
	kept := s.isKept(name)
	switch {
	case flags.keep, kept && title == "up" && len(o.Services) == 0 && !o.NoStart:
		dir, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("cannot tell where the project's files are: %w", err)
		}
		return s.keep(ctx, keep.Entry{Project: name, Dir: dir, Env: s.environ}, s.keptUp(o, flags.scale))
	case kept && len(flags.scale) > 0:
		return s.rescale(ctx, name, flags.scale)
	}
	return nil
}

func (s *session) keep(ctx context.Context, e keep.Entry, up keptUp) error {
	text, err := json.Marshal(up)
	if err != nil {
		return err
	}
	e.Up, e.Since, e.Boot = text, s.now(), keep.BootID()
	return s.keeper().Put(ctx, e)
}

// rescale keeps a kept project with other numbers of containers.
func (s *session) rescale(ctx context.Context, name string, scale []string) error {
	e, err := keep.Read(s.target.Root, name)
	if err != nil {
		return err
	}
	var up keptUp
	if err := json.Unmarshal(e.Up, &up); err != nil {
		return fmt.Errorf("cannot read how project %s is kept: %w", name, err)
	}
	numbers := map[string]string{}
	for _, pair := range slices.Concat(up.Scale, scale) {
		service, n, _ := strings.Cut(pair, "=")
		numbers[service] = n
	}
	up.Scale = nil
	for _, service := range slices.Sorted(maps.Keys(numbers)) {
		up.Scale = append(up.Scale, service+"="+numbers[service])
	}
	return s.keep(ctx, e, up)
}

// unkeep has the engine keep the project no longer.
func (s *session) unkeep(ctx context.Context, name string) error {
	if !s.isKept(name) {
		return nil
	}
	return s.keeper().Delete(ctx, name)
}

// letGo ends the keeping of a project that was brought to a state which is not the one of its files.
func (s *session) letGo(ctx context.Context, name string) error {
	if !s.isKept(name) {
		return nil
	}
	if err := s.unkeep(ctx, name); err != nil {
		return err
	}
	return s.notes([]string{fmt.Sprintf("project %s is no longer kept, which would undo this; stack up -d --keep keeps it again", name)})
}
