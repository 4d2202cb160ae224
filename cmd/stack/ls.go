package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
)

type lsOptions struct {
	all, quiet bool
	format     string
	filters    []string
}

func newLs(a *app) *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:   "ls [OPTIONS]",
		Short: "List the projects of the engine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLs(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Also projects of which nothing runs")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only names")
	f.StringVar(&o.format, "format", "table", "table, json, or a Go template")
	f.StringArrayVar(&o.filters, "filter", nil, "Only those with a property: name=PATTERN")
	return cmd
}

// lsRow has the fields that Compose prints, under its names.
type lsRow struct {
	Name        string
	Status      string
	ConfigFiles string
}

func runLs(ctx context.Context, a *app, o lsOptions) error {
	var patterns []string
	for _, filter := range o.filters {
		pattern, ok := strings.CutPrefix(filter, "name=")
		if _, err := path.Match(pattern, ""); !ok || err != nil {
			return usagef("value %q of --filter is not of the form name=PATTERN", filter)
		}
		patterns = append(patterns, pattern)
	}
	return a.with(ctx, func(s *session) error {
		list, err := s.ContainerList(ctx, container.ListOptions{
			All: o.all, Filters: filters.NewArgs(filters.Arg("label", desired.LabelProject)),
		})
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(projectsOf(list), func(r lsRow) bool { return !matchesAny(patterns, r.Name) })
		if o.quiet {
			for _, r := range rows {
				fmt.Fprintln(a.out, r.Name)
			}
			return nil
		}
		return view.List(a.out, o.format, rows, false, func(rows []lsRow) view.Table {
			t := view.Table{Header: []string{"NAME", "STATUS", "CONFIG FILES"}}
			for _, r := range rows {
				t.Rows = append(t.Rows, []string{r.Name, r.Status, r.ConfigFiles})
			}
			return t
		})
	})
}

func matchesAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok || strings.Contains(name, p)
	})
}

// projectsOf groups containers by project and counts their states: "exited(1), running(2)".
func projectsOf(list []container.Summary) []lsRow {
	states := map[string]map[string]int{}
	files := map[string]map[string]bool{}
	for _, c := range list {
		name := c.Labels[desired.LabelProject]
		if states[name] == nil {
			states[name], files[name] = map[string]int{}, map[string]bool{}
		}
		states[name][string(c.State)]++
		if f := c.Labels[desired.LabelConfigFiles]; f != "" {
			files[name][f] = true
		}
	}
	var rows []lsRow
	for name, counts := range states {
		var parts []string
		for _, state := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%s(%d)", state, counts[state]))
		}
		rows = append(rows, lsRow{name, strings.Join(parts, ", "), strings.Join(slices.Sorted(maps.Keys(files[name])), ",")})
	}
	slices.SortFunc(rows, func(a, b lsRow) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}
