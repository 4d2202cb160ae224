package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
)

type psOptions struct {
	all, quiet, services, noTrunc, orphans bool

	format   string
	statuses []string
	filters  []string
}

func newPs(a *app) *cobra.Command {
	var o psOptions
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS] [SERVICE...]",
		Short: "List the project's containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPs(cmd, a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Also those that do not run, and those of run")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only IDs")
	f.BoolVar(&o.services, "services", false, "Only the names of services")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "Do not shorten")
	f.BoolVar(&o.orphans, "orphans", true, "Also containers of services that the project no longer has")
	f.StringVar(&o.format, "format", "table", "table, json, or a Go template")
	f.StringArrayVar(&o.statuses, "status", nil, "Only those in this state: "+strings.Join(containerStates, ", "))
	f.StringArrayVar(&o.filters, "filter", nil, "Only those with a property: status=STATE")
	return cmd
}

var containerStates = []string{"paused", "restarting", "removing", "running", "dead", "created", "exited"}

func (o *psOptions) check() error {
	for _, filter := range o.filters {
		name, value, ok := strings.Cut(filter, "=")
		if !ok || name != "status" {
			return usagef("value %q of --filter is not of the form status=STATE", filter)
		}
		o.statuses = append(o.statuses, value)
	}
	for _, s := range o.statuses {
		if !slices.Contains(containerStates, s) {
			return usagef("status %q is not one of %s", s, strings.Join(containerStates, ", "))
		}
	}
	return nil
}

func runPs(cmd *cobra.Command, a *app, o psOptions, services []string) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	sc, broken := a.scope(ctx)
	return a.with(ctx, func(s *session) error {
		if broken != nil {
			name, err := s.nameOfBroken(ctx, broken)
			if err != nil {
				return err
			}
			sc = scope{name: name}
		}
		told := func() string { return "" }
		if len(services) == 0 && !o.quiet && !o.services && o.format == "table" {
			s.Engine = &listOnce{Engine: s.Engine}
			told = s.meanwhile(func() string { return s.judge(ctx, sc, broken) })
		}
		list, err := s.members(ctx, sc, which{services: services, stopped: o.all || len(o.statuses) > 0, oneOff: o.all})
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(m member) bool {
			return len(o.statuses) > 0 && !slices.Contains(o.statuses, string(m.State)) ||
				!o.orphans && sc.project != nil && !sc.hasService(m.service)
		})
		if err := showPs(a, o, list); err != nil {
			return err
		}
		if text := told(); text != "" {
			fmt.Fprintln(a.err, text)
		}
		return nil
	})
}

func showPs(a *app, o psOptions, list []member) error {
	switch {
	case o.quiet:
		for _, m := range list {
			fmt.Fprintln(a.out, m.ID)
		}
		return nil
	case o.services:
		names := map[string]bool{}
		for _, m := range list {
			names[m.service] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintln(a.out, name)
		}
		return nil
	}
	rows := make([]psRow, len(list))
	for i, m := range list {
		rows[i] = newPsRow(m, a.now(), o.noTrunc)
	}
	return view.List(a.out, o.format, rows, true, psTable)
}

// psRow has the fields that Compose prints, under its names.
type psRow struct {
	Command      string
	CreatedAt    string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string
}

type publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
}

func newPsRow(m member, now time.Time, noTrunc bool) psRow {
	exit, health := m.status()
	created := time.Unix(m.Created, 0)
	row := psRow{
		Command: command(m.Command, noTrunc), CreatedAt: created.Format("2006-01-02 15:04:05 -0700 MST"),
		ExitCode: exit, Health: health, ID: view.ShortID(m.ID), Image: m.Image, Labels: joinLabels(m.Labels),
		LocalVolumes: fmt.Sprint(countVolumes(m.Mounts)), Mounts: mountNames(m.Mounts), Name: m.name, Names: m.name,
		Ports: m.ports(), Project: m.Labels[desired.LabelProject], Publishers: publishers(m.Ports),
		RunningFor: view.Ago(now.Sub(created)) + " ago", Service: m.service, Size: "0B", State: string(m.State), Status: m.Status,
	}
	if noTrunc {
		row.ID = m.ID
	}
	if m.NetworkSettings != nil {
		row.Networks = strings.Join(slices.Sorted(maps.Keys(m.NetworkSettings.Networks)), ",")
	}
	return row
}

// command is quoted, and shortened to what Docker shows.
func command(text string, noTrunc bool) string {
	const most = 20
	if runes := []rune(text); !noTrunc && len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return `"` + text + `"`
}

func joinLabels(labels map[string]string) string {
	out := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, name+"="+labels[name])
	}
	return strings.Join(out, ",")
}

func countVolumes(mounts []container.MountPoint) int {
	n := 0
	for _, m := range mounts {
		if m.Driver == "local" {
			n++
		}
	}
	return n
}

func mountNames(mounts []container.MountPoint) string {
	out := make([]string, len(mounts))
	for i, m := range mounts {
		if out[i] = m.Name; m.Name == "" {
			out[i] = m.Source
		}
	}
	return strings.Join(out, ",")
}

func publishers(ports []container.Port) []publisher {
	out := make([]publisher, len(ports))
	for i, p := range ports {
		out[i] = publisher{URL: p.IP, TargetPort: int(p.PrivatePort), PublishedPort: int(p.PublicPort), Protocol: p.Type}
	}
	return out
}

func psTable(rows []psRow) view.Table {
	t := view.Table{Header: []string{"NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.Name, r.Image, r.Command, r.Service, r.RunningFor, r.Status, r.Ports})
	}
	return t
}
