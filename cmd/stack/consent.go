package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
)

// declareVolumes adds the flag by which what is in volumes may be lost.
func (u *upFlags) declareVolumes(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&u.recreateVolumes, "recreate-volume", nil, "Make this volume anew if it differs from the file, with the containers that use it; what is in it is lost")
}

// consent finds out which volumes may be made anew if they differ: those that flags name, and those about which the user says so
// when asked. With --yes the answer is yes, and what is lost is said all the same.
func (s *session) consent(ctx context.Context, d *desired.Project, o *plan.UpOptions, u *upFlags) error {
	agreed := make(map[string]bool)
	for _, key := range u.recreateVolumes {
		v := d.Volume(key)
		switch {
		case v == nil:
			return usagef("there is no volume %q in the project, for --recreate-volume", key)
		case v.External:
			return usagef("volume %q is external, and --recreate-volume is for those of the project", key)
		}
		agreed[key] = true
	}
	o.RecreateVolumes = agreed
	ask := !s.global.dryRun && (u.yes || s.terminalOf() != nil)
	own := slices.ContainsFunc(d.Volumes, func(v desired.Volume) bool { return !v.External })
	if !ask || !own || o.Recreate == plan.RecreateNever {
		return nil
	}
	now, err := observe.Listed(ctx, s.Engine, d.Name, d)
	if err != nil {
		return err
	}
	for _, change := range plan.ChangedVolumes(d, now) {
		if agreed[change.Key] {
			continue
		}
		if agreed[change.Key], err = s.mayRecreate(ctx, change, u.yes); err != nil {
			return err
		}
	}
	return nil
}

// mayRecreate asks about one volume.
func (s *session) mayRecreate(ctx context.Context, change plan.VolumeChange, yes bool) (bool, error) {
	differs := fmt.Sprintf("volume %s differs (%s)", change.Name, change.Cause)
	if yes {
		return true, s.notes([]string{differs + " and is made anew, since --yes was given; what is in it is lost"})
	}
	return s.confirm(ctx, strings.ToUpper(differs[:1])+differs[1:]+"; make it anew and lose what is in it? [yN] ")
}
