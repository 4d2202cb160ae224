package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

type configOptions struct {
	lists       listOptions
	load        project.Options // the No… switches only
	explain     []string
	environment bool
	variables   bool
	quiet       bool
	pin         bool // --resolve-image-digests
	lock        bool // --lock-image-digests

	format, hash, output string
}

// listOptions ask for names only.
type listOptions struct{ services, volumes, networks, models, images, profiles bool }

func (l listOptions) any() bool { return l != listOptions{} }

func newConfig(a *app) *cobra.Command {
	return configCommand(a, "config", "Check the project and print it as it was understood")
}

// newConvert is config under the name that it once had in Compose.
func newConvert(a *app) *cobra.Command {
	cmd := configCommand(a, "convert", "The same as config")
	cmd.Hidden = true
	return cmd
}

const configLong = `What stands in the files is merged, variables are replaced, short forms are written out, relative paths are made
absolute and what is implied is added. With services named, only those and what they depend on. A $ is
printed as $$, so that the output is a Compose file again.

--explain says of each value below a path, such as services.web.image, in which file and line it is written, how that file
came into the project, what filled its variables and what it overrides. * stands for any name: "services.*.image".`

func configCommand(a *app, name, short string) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   name + " [OPTIONS] [SERVICE...]",
		Short: short,
		Long:  configLong,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConfig(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.lists.services, "services", false, "Only the names of the services")
	f.BoolVar(&o.lists.volumes, "volumes", false, "Only the names of the volumes")
	f.BoolVar(&o.lists.networks, "networks", false, "Only the names of the networks")
	f.BoolVar(&o.lists.models, "models", false, "Only the models")
	f.BoolVar(&o.lists.images, "images", false, "Only the images")
	f.BoolVar(&o.lists.profiles, "profiles", false, "Only the names of the profiles")
	f.BoolVar(&o.environment, "environment", false, "Only the variables that the files may use, as an env file")
	f.BoolVar(&o.variables, "variables", false, "Only the variables that the files use, and their defaults")
	f.StringVar(&o.hash, "hash", "", "Only the hash of these services, separated by commas; * for all")
	f.StringArrayVar(&o.explain, "explain", nil, "Where the values at this path, such as services.web.image, come from; repeatable")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only check")
	f.BoolVar(&o.pin, "resolve-image-digests", false, "Ask the registries for the digests of the images and add them")
	f.BoolVar(&o.lock, "lock-image-digests", false, "Print an override file that fixes the images to their digests")
	f.BoolVar(&o.load.NoInterpolate, "no-interpolate", false, "Leave variables as they are written")
	f.BoolVar(&o.load.NoNormalize, "no-normalize", false, "Do not add what is implied")
	f.BoolVar(&o.load.NoPathResolution, "no-path-resolution", false, "Leave relative paths as they are written")
	f.BoolVar(&o.load.NoEnvResolution, "no-env-resolution", false, "Do not read the services' env files")
	f.BoolVar(&o.load.NoConsistency, "no-consistency", false, "Do not check what only the whole project can tell")
	f.StringVar(&o.format, "format", "", "yaml or json; of --variables and --explain also the default, a text")
	f.StringVarP(&o.output, "output", "o", "", "Write to this file")
	return cmd
}

func runConfig(ctx context.Context, a *app, o configOptions, services []string) error {
	if o.format != "" && o.format != "yaml" && o.format != "json" {
		return usagef("value %q of --format is not one of yaml, json", o.format)
	}
	o.pin = o.pin || o.lock
	var b strings.Builder
	if err := a.writeConfig(ctx, &b, o, services); err != nil || o.quiet {
		return err
	}
	if o.output != "" {
		if err := os.WriteFile(o.output, []byte(b.String()), 0o600); err != nil {
			return fmt.Errorf("cannot write the project: %w", err)
		}
		return nil
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

// configLoadOptions are the loader's options with the command's switches.
func (a *app) configLoadOptions(o configOptions) project.Options {
	out := a.projectOptions()
	out.NoInterpolate = o.load.NoInterpolate
	out.NoNormalize = o.load.NoNormalize || a.global.compatibility
	out.NoPathResolution = o.load.NoPathResolution
	out.NoEnvResolution = o.load.NoEnvResolution
	out.NoConsistency = o.load.NoConsistency
	return out
}

// writeConfig writes what was asked for. Of several things the first counts, as in Compose.
func (a *app) writeConfig(ctx context.Context, out io.Writer, o configOptions, services []string) error {
	load := a.configLoadOptions(o)
	switch {
	case o.variables && !o.lists.any() && o.hash == "":
		return a.writeVariables(ctx, out, o, load, services)
	case load.NoInterpolate:
		return a.writeRaw(ctx, out, o, load, services)
	}
	p, err := a.loadAs(ctx, load)
	if err != nil {
		return err
	}
	if err := a.warnRefused(p); err != nil {
		return err
	}
	if o.quiet && !o.pin && o.hash == "" && len(o.explain) == 0 { // to write a large model takes longer than to check it
		_, err = p.Select(services, false)
		return err
	}
	if p, err = a.selectFor(p, services); err != nil {
		return err
	}
	switch {
	case o.hash != "":
		return writeHashes(out, o.hash, a.separator(), p)
	case o.lists.any():
		return o.lists.write(out, a.separator(), p)
	case o.environment:
		_, err := io.WriteString(out, p.EnvFile())
		return err
	case len(o.explain) > 0:
		return a.writeExplanations(out, o, p)
	}
	return a.writeWhole(ctx, out, o, p)
}

// selectFor leaves only the services, what they depend on, and the networks, volumes and the like that are in use.
func (a *app) selectFor(p *project.Project, services []string) (*project.Project, error) {
	p, err := p.Select(services, false)
	if err != nil || a.global.allResources {
		return p, err
	}
	out := *p
	out.Project = p.WithoutUnnecessaryResources()
	return &out, nil
}

// writeWhole writes the project, or the override file that fixes its images.
func (a *app) writeWhole(ctx context.Context, out io.Writer, o configOptions, p *project.Project) (err error) {
	if o.pin {
		if p, err = a.pin(ctx, p); err != nil {
			return err
		}
	}
	if o.lock {
		if err := a.warn(unpinned(p)); err != nil {
			return err
		}
		p = imagesOnly(p)
	}
	if !o.load.NoEnvResolution {
		p = withoutFiles(p)
	}
	return writeModel(out, o.format, p)
}

// withoutFiles leaves out the names of the files that are read into environment and labels.
func withoutFiles(p *project.Project) *project.Project {
	copied := *p.Project
	copied.Services = maps.Clone(p.Services)
	for name, s := range copied.Services {
		s.EnvFiles, s.LabelFiles = nil, nil
		s.PreStart = slices.Clone(s.PreStart)
		for i := range s.PreStart {
			s.PreStart[i].EnvFiles, s.PreStart[i].LabelFiles = nil, nil
		}
		copied.Services[name] = s
	}
	out := *p
	out.Project = &copied
	return &out
}

// writeModel writes a Compose file, in which a $ that is meant is $$.
func writeModel(out io.Writer, format string, p *project.Project) error {
	marshal := p.MarshalYAML
	if format == "json" {
		marshal = p.MarshalJSON
	}
	text, err := marshal()
	if err != nil {
		return fmt.Errorf("cannot print the project: %w", err)
	}
	_, err = fmt.Fprintln(out, strings.ReplaceAll(strings.TrimRight(string(text), "\n"), "$", "$$"))
	return err
}

// warnRefused says what up would refuse; the project can be printed all the same.
func (a *app) warnRefused(p *project.Project) error {
	_, warnings, err := desired.FromProject(p, desired.Input{Separator: a.separator()})
	var mistakes project.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			warnings = append(warnings, project.Warning{Position: m.Position, Text: "up refuses this: " + m.Problem, Rule: "refused"})
		}
	}
	return a.warn(warnings)
}
