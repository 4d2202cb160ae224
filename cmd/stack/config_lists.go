package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

// write writes the names that were asked for, one a line. Of several lists the first counts, as in Compose.
func (l listOptions) write(out io.Writer, separator string, p *project.Project) error {
	switch {
	case l.services:
		return printLines(out, inOrder(p))
	case l.volumes:
		return printLines(out, p.VolumeNames())
	case l.networks:
		return printLines(out, p.NetworkNames())
	case l.models:
		return printLines(out, modelNames(p))
	case l.profiles:
		return printLines(out, profileNames(p))
	}
	return printLines(out, imageNames(p, separator))
}

func printLines(out io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are the services, those first that others depend on.
func inOrder(p *project.Project) []string {
	var out []string
	var visit func(name string)
	visit = func(name string) {
		s, ok := p.Services[name]
		if !ok || slices.Contains(out, name) {
			return
		}
		for _, dependency := range slices.Sorted(maps.Keys(s.DependsOn)) {
			visit(dependency)
		}
		out = append(out, name)
	}
	for _, name := range p.ServiceNames() {
		visit(name)
	}
	return out
}

// imageNames are the images of services, their hooks and their volumes.
func imageNames(p *project.Project, separator string) []string {
	names := map[string]bool{}
	for name, s := range p.Services {
		switch {
		case s.Provider != nil:
		case s.Image != "":
			names[s.Image] = true
		default:
			names[p.Name+separator+name] = true
		}
		for _, hook := range s.PreStart {
			names[hook.Image] = true
		}
		for _, v := range s.Volumes {
			if _, isService := p.Services[v.Source]; v.Type == "image" && !isService {
				names[v.Source] = true
			}
		}
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

func modelNames(p *project.Project) []string {
	names := map[string]bool{}
	for _, m := range p.Models {
		names[m.Model] = true
	}
	delete(names, "")
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

// writeHashes prints the hash by which each service's containers are compared: "*" stands for all services.
func writeHashes(out io.Writer, names, separator string, p *project.Project) error {
	contents, err := p.ReadContents()
	if err != nil {
		return err
	}
	d, _, err := desired.FromProject(p, desired.Input{Contents: contents, Separator: separator})
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
		if _, err := fmt.Fprintln(out, service.Name, service.ComposeHash); err != nil {
			return err
		}
	}
	return nil
}
