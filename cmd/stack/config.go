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
	services, volumes, networks, images, profiles, environment, quiet bool

	format, hash, output string
}

func newConfig(a *app) *cobra.Command {
	return configCommand(a, "config", "Check the project and print it as it was understood")
}

// newConvert is config under the name that it once had in Compose.
func newConvert(a *app) *cobra.Command {
	cmd := configCommand(a, "convert", "The same as config")
	cmd.Hidden = true
	return cmd
}

func configCommand(a *app, name, short string) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   name + " [OPTIONS] [SERVICE...]",
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConfig(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.services, "services", false, "Only the names of the services")
	f.BoolVar(&o.volumes, "volumes", false, "Only the names of the volumes")
	f.BoolVar(&o.networks, "networks", false, "Only the names of the networks")
	f.BoolVar(&o.images, "images", false, "Only the images")
	f.BoolVar(&o.profiles, "profiles", false, "Only the names of the profiles")
	f.BoolVar(&o.environment, "environment", false, "Only the variables that the files were filled in from")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only check")
	f.StringVar(&o.format, "format", "yaml", "yaml or json")
	f.StringVar(&o.hash, "hash", "", "Only the hash of these services, separated by commas; * for all")
	f.StringVarP(&o.output, "output", "o", "", "Write to this file")
	return cmd
}

func runConfig(ctx context.Context, a *app, o configOptions, services []string) error {
	if o.format != "yaml" && o.format != "json" {
		return usagef("value %q of --format is not one of yaml, json", o.format)
	}
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	if err := a.warnRefused(p); err != nil {
		return err
	}
	selected, err := p.Select(services, false)
	if err != nil || o.quiet {
		return err
	}
	var b strings.Builder
	if err := writeConfig(&b, o, selected); err != nil {
		return err
	}
	if o.output != "" {
		return os.WriteFile(o.output, []byte(b.String()), 0o600)
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

func writeConfig(out io.Writer, o configOptions, p *project.Project) error {
	switch {
	case o.services:
		printLines(out, p.ServiceNames())
	case o.volumes:
		printLines(out, p.VolumeNames())
	case o.networks:
		printLines(out, p.NetworkNames())
	case o.images:
		printLines(out, imageNames(p))
	case o.profiles:
		printLines(out, profileNames(p))
	case o.environment:
		for _, name := range slices.Sorted(maps.Keys(p.Env)) {
			fmt.Fprintf(out, "%s=%s\n", name, p.Env[name])
		}
	case o.hash != "":
		return writeHashes(out, o.hash, p)
	default:
		return writeModel(out, o.format, p)
	}
	return nil
}

func printLines(out io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
}

func imageNames(p *project.Project) []string {
	names := map[string]bool{}
	for name, s := range p.Services {
		if s.Image != "" {
			names[s.Image] = true
		} else {
			names[p.Name+"-"+name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func profileNames(p *project.Project) []string {
	names := map[string]bool{}
	for _, s := range p.AllServices() {
		for _, name := range s.Profiles {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func writeModel(out io.Writer, format string, p *project.Project) error {
	marshal := p.MarshalYAML
	if format == "json" {
		marshal = p.MarshalJSON
	}
	text, err := marshal()
	if err != nil {
		return fmt.Errorf("cannot print the project: %w", err)
	}
	_, err = fmt.Fprintln(out, strings.TrimRight(string(text), "\n"))
	return err
}

// warnRefused says what up would refuse; the project can be printed all the same.
func (a *app) warnRefused(p *project.Project) error {
	_, warnings, err := desired.FromProject(p, desired.Input{})
	var mistakes project.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			warnings = append(warnings, project.Warning{Position: m.Position, Text: m.Problem})
		}
	}
	return a.warn(warnings)
}

// writeHashes prints the hash by which each service's containers are compared: "*" stands for all services.
func writeHashes(out io.Writer, names string, p *project.Project) error {
	contents, err := p.ReadContents()
	if err != nil {
		return err
	}
	d, _, err := desired.FromProject(p, desired.Input{Contents: contents})
	if err != nil {
		return err
	}
	wanted := strings.Split(names, ",")
	if names == "*" {
		wanted = p.ServiceNames()
	}
	for _, name := range wanted {
		service := d.Service(strings.TrimSpace(name))
		if service == nil {
			_, err := p.Select([]string{name}, true)
			return err
		}
		fmt.Fprintln(out, service.Name, service.ComposeHash)
	}
	return nil
}
