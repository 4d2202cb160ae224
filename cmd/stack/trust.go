package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/project"
)

// errNotTrusted is what a command ends with that was told not to go on.
var errNotTrusted = errors.New("nothing was done; --yes starts projects from elsewhere without asking")

// declareYes adds the flag that answers questions.
func (u *upFlags) declareYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&u.yes, "yes", "y", false, "Do not ask, for example before a project from elsewhere is started")
}

// trust asks whether a project that was fetched may be started: it may mount and run anything. What it was made of and the
// variables that went into it are shown first.
func (a *app) trust(ctx context.Context, p *project.Project, yes bool) error {
	if yes || a.global.dryRun || !a.isRemote(p.Files[0]) {
		return nil
	}
	var b strings.Builder
	b.WriteString("This project comes from elsewhere, and it can do here whatever its files say:\n")
	for _, address := range a.addresses() {
		b.WriteString("  " + view.Clean(address) + "\n")
	}
	fmt.Fprintf(&b, "Its files are kept in %s.\n", view.Clean(p.Dir))
	if err := writeTrustedVariables(&b, p); err != nil {
		return err
	}
	ok, err := a.confirm(ctx, b.String()+"Start it? [yN] ")
	if err == nil && !ok {
		err = errNotTrusted
	}
	return err
}

func (a *app) isRemote(file string) bool {
	return slices.ContainsFunc(a.remotes(), func(f project.Fetcher) bool { return f.Accepts(file) })
}

// writeTrustedVariables shows what of the user's environment goes into the files.
func writeTrustedVariables(b *strings.Builder, p *project.Project) error {
	table := view.Table{Header: []string{"VARIABLE", "VALUE", "SOURCE", "REQUIRED", "DEFAULT"}}
	for _, v := range p.Variables() {
		value, source := p.Env[v.Name], p.Origin(v.Name)
		if _, set := p.Env[v.Name]; !set {
			value, source = "<unset>", "none"
		}
		table.Rows = append(table.Rows, []string{v.Name, value, source, fmt.Sprint(v.Required), v.Default})
	}
	if len(table.Rows) == 0 {
		return nil
	}
	b.WriteString("It uses these variables:\n")
	return table.Write(b)
}
