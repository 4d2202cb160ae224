package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// upFlags are what up, create, plan and scale have in common: how to bring the project to its state.
type upFlags struct {
	options plan.UpOptions
	scale   []string
	pull    string
	yes     bool

	recreateVolumes []string // keys
	keep            bool

	forceRecreate, noRecreate, alwaysRecreateDeps bool
	quietPull, quietBuild, ignoreOrphans          bool
	timeout                                       func() *int
}

// declare adds the flags that decide about what is done.
func (u *upFlags) declare(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&u.options.Build, "build", false, "Build images also when they are there")
	f.BoolVar(&u.options.NoBuild, "no-build", false, "Do not build images, pull those that are missing")
	f.StringVar(&u.pull, "pull", "", "When to pull images: always, missing, never (default: as the file says)")
	f.BoolVar(&u.forceRecreate, "force-recreate", false, "Replace containers also when nothing has changed")
	f.BoolVar(&u.noRecreate, "no-recreate", false, "Leave containers that are there as they are")
	f.BoolVar(&u.options.RemoveOrphans, "remove-orphans", a.presetBool("COMPOSE_REMOVE_ORPHANS"), "Remove containers and networks that the project no longer has")
	f.StringArrayVar(&u.scale, "scale", nil, "Number of a service's containers: SERVICE=NUM")
	u.declareVolumes(cmd)
	u.ignoreOrphans = a.presetBool("COMPOSE_IGNORE_ORPHANS")
}

// declareDependencies adds the flags about services that others depend on.
func (u *upFlags) declareDependencies(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&u.options.NoDeps, "no-deps", false, "Not what the services depend on")
	f.BoolVar(&u.alwaysRecreateDeps, "always-recreate-deps", false, "Replace the containers that the services depend on, too")
	f.BoolVarP(&u.options.RenewVolumes, "renew-anon-volumes", "V", false, "Give replaced containers new anonymous volumes")
	u.timeout = timeoutFlag(cmd, "Seconds until a container is killed that is stopped (default: its own, or 10)")
}

func (u *upFlags) declareQuiet(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&u.quietPull, "quiet-pull", false, "Do not show how pulls go on")
}

// resolve checks what cannot go together and returns the plan's options.
func (u *upFlags) resolve(a *app, services []string) (plan.UpOptions, error) {
	o := u.options
	o.Services, o.AllResources = services, a.global.allResources
	if u.timeout != nil {
		o.Timeout = u.timeout()
	}
	switch {
	case u.forceRecreate && u.noRecreate:
		return o, usagef("--force-recreate and --no-recreate cannot go together")
	case o.Build && o.NoBuild:
		return o, usagef("--build and --no-build cannot go together")
	case u.forceRecreate:
		o.Recreate = plan.RecreateForce
	case u.noRecreate:
		o.Recreate, o.RecreateDeps = plan.RecreateNever, plan.RecreateNever
	}
	if u.alwaysRecreateDeps {
		o.RecreateDeps = plan.RecreateForce
	}
	switch o.Pull = desired.PullPolicy(u.pull); o.Pull {
	case "", desired.PullAlways, desired.PullMissing, desired.PullNever:
		return o, nil
	}
	return o, usagef("value %q of --pull is not one of always, missing, never", u.pull)
}

// parseScale reads SERVICE=NUM.
func parseScale(pairs []string) (map[string]int, error) {
	scale := map[string]int{}
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || name == "" {
			return nil, usagef("scale %q is not of the form SERVICE=NUM", pair)
		}
		scale[name] = n
	}
	return scale, nil
}
