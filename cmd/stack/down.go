package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

func newDown(a *app) *cobra.Command {
	var o plan.DownOptions
	var images string
	cmd := &cobra.Command{
		Use:   "down [OPTIONS] [SERVICE...]",
		Short: "Stop and remove the project's containers and networks",
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Volumes, "volumes", "v", false, "Also its volumes, and what is in them")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", a.presetBool("COMPOSE_REMOVE_ORPHANS"), "Also containers of services that it no longer has")
	f.StringVar(&images, "rmi", "", "Also images: local for those without a name in the file, all for all that its services use")
	timeout := timeoutFlag(cmd, "Seconds until a container is killed (default: its own, or 10)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch o.Images = plan.RemoveImages(images); o.Images {
		case plan.KeepImages, plan.LocalImages, plan.AllImages:
		default:
			return usagef("value %q of --rmi is not one of local, all", images)
		}
		o.Services, o.Timeout = args, timeout()
		sc, err := a.scope(cmd.Context())
		if err != nil {
			return err
		}
		if sc, err = sc.withServices(args); err != nil {
			return err
		}
		return a.with(cmd.Context(), func(s *session) error { return s.down(cmd.Context(), sc, o) })
	}
	return cmd
}

// maxDowns is how often a project is observed anew when what was observed has changed meanwhile: an engine may still be
// finishing what a run had begun that was interrupted.
const maxDowns = 3

func (s *session) down(ctx context.Context, sc scope, o plan.DownOptions) error {
	d := sc.desired()
	if s.global.dryRun {
		now, err := observe.Listed(ctx, s.Engine, sc.name, d)
		if err != nil {
			return err
		}
		fmt.Fprint(s.out, plan.Down(d, now, o).Text())
		return nil
	}
	progress, err := s.progress("down")
	if err != nil {
		return err
	}
	defer progress.Close()
	options := s.options(progress)
	unlock, err := options.Lock(ctx, sc.name)
	if err != nil {
		return err
	}
	defer unlock()
	options.Lock = nil
	if err := s.intend(ctx, sc.name, takenDown(o.Services)); err != nil {
		return err
	}
	var result *convergence.Result
	for range maxDowns {
		result, err = convergence.Down(ctx, s.Engine, sc.name, d, o, options, narrate(ctx, progress).event)
		if !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	progress.Close()
	if err != nil {
		return inOperations(err)
	}
	if err := s.forget(ctx, sc.name, o.Services); err != nil {
		return err
	}
	if len(o.Services) == 0 {
		if err := s.unkeep(ctx, sc.name); err != nil {
			return err
		}
	}
	if !result.Changed {
		result.Notes = append(result.Notes, "there is nothing to remove of project "+sc.name)
	}
	return s.notes(result.Notes)
}

// notes prints what a plan wants to be known.
func (a *app) notes(notes []string) error {
	if a.global.progress == "quiet" {
		return nil
	}
	var warnings []project.Warning
	for _, note := range notes {
		warnings = append(warnings, project.Warning{Text: note})
	}
	return a.warn(warnings)
}
