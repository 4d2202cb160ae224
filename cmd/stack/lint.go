package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/project/lint"
)

type lintOptions struct {
	format string
	ignore []string
}

func newLint(a *app) *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint [OPTIONS]",
		Short: "Say what works and may be regretted; exit with 0 for nothing, 2 for findings",
		Long: "Looks through the Compose files and the Dockerfiles of the project for what works and is likely to be regretted.\n" +
			"A comment silences a rule on its line or the next one, or at the top of the file for all of it: # lint: ignore=RULE",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLint(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "text or json")
	f.StringArrayVar(&o.ignore, "ignore", nil, "Rule to leave out; repeat for several")
	return cmd
}

func runLint(ctx context.Context, a *app, o lintOptions) error {
	if o.format != "text" && o.format != "json" {
		return usagef("value %q of --format is not one of text, json", o.format)
	}
	p, err := a.load(ctx)
	if err != nil {
		return err
	}
	findings, err := lint.Check(ctx, p, lint.Options{Ignore: o.ignore})
	if unknown, ok := errors.AsType[lint.UnknownRule](err); ok {
		return usageError{unknown}
	}
	if err != nil {
		return err
	}
	if err := a.showFindings(o.format, findings); err != nil {
		return err
	}
	if len(findings) > 0 {
		return exitCode(exitChanges)
	}
	return nil
}

func (a *app) showFindings(format string, findings []lint.Finding) error {
	if format == "json" {
		return view.JSON(a.out, struct {
			Findings []lint.Finding `json:"findings"`
		}{append([]lint.Finding{}, findings...)})
	}
	for _, f := range findings {
		fmt.Fprintln(a.out, f)
	}
	fmt.Fprintln(a.out, summary(findings))
	return nil
}

// summary is the last line: how many there are, and how the first that can be is silenced.
func summary(findings []lint.Finding) string {
	if len(findings) == 0 {
		return "nothing found"
	}
	count, one := fmt.Sprintf("\n%d findings.", len(findings)), "one"
	if len(findings) == 1 {
		count, one = "\n1 finding.", "it"
	}
	i := slices.IndexFunc(findings, func(f lint.Finding) bool { return f.Silence != "" })
	if i < 0 {
		return count
	}
	return fmt.Sprintf("%s Where %s is meant so, silence it with a comment: %s", count, one, findings[i].Silence)
}
