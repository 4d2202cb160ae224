// Package lint gives advice about projects that load: what works and yet is likely to be regretted.
//
// A rule is a pure function of the loaded project. All rules are in one list, from which the page docs/reference/lint.md is made too.
// A comment silences a rule where it stands:
//
//	image: nginx # lint: ignore=latest-tag the newest is wanted here
//
// on the line itself, alone on the line above, or at the top of the file for all of it. Text after the names is for people.
// Dockerfiles of the project are checked by BuildKit's own checks, whose names are written in the same comments.
package lint

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// Rule is one kind of advice.
type Rule struct {
	Name    string // such as "latest-tag"
	Summary string // what it finds, in a few words
	Why     string // why that is likely to be regretted
	Bad     string // an example of a Compose file, with the advice followed in Good
	Good    string
	check   func(*linter)
}

// rules is every rule, in the order of the page.
var rules = []Rule{
	latestTag, publicPort, ineffectivePorts,
	missingHealthcheck, weakDependency, neverCompletes,
	secretInEnvironment, privileged, hostNamespace, engineSocket, bindOutsideProject,
	unpinnedInclude, unused, missingBuildFile, missingWatchPath, needlessSync, mountedFile,
}

// silences is the name under which comments are found that silence nothing. It is no rule of its own that can be silenced.
const silences = "silence"

// Rules lists the rules.
func Rules() []Rule { return slices.Clone(rules) }

// Finding is a piece of advice about a place in a file.
type Finding struct {
	*project.Error        // the place, what is found, what to write, and the Rule
	Why            string `json:"why,omitempty"`
	Page           string `json:"page,omitempty"` // where more is written about the rule
	Silence        string `json:"silence,omitempty"`
}

// String is the finding as it is printed.
func (f Finding) String() string {
	e := *f.Error
	e.Problem = f.Rule + ": " + e.Problem
	if f.Why != "" {
		e.Fix = strings.TrimSpace(f.Why + "\n" + e.Fix)
	}
	return e.Error()
}

// Options says what to leave out.
type Options struct {
	Ignore []string // names of rules
}

// UnknownRule is the error about a name that is no rule's.
type UnknownRule string

func (e UnknownRule) Error() string { return string(e) }

// linter is one run over a project.
type linter struct {
	*project.Project
	ctx      context.Context        //nolint:containedctx // lives as long as one call of Check
	all      types.Services         // those that profiles leave out included
	names    []string               // of all, sorted
	waiters  map[[2]string][]string // the services that wait for a service's condition; see waiting
	rule     *Rule
	findings []Finding
	texts    map[string][]string // the lines of Dockerfiles
}

// Check runs all rules over the project, services that profiles leave out included. An unknown name
// in Options is an UnknownRule.
func Check(ctx context.Context, p *project.Project, o Options) ([]Finding, error) {
	l := &linter{Project: p, ctx: ctx, all: p.AllServices(), texts: make(map[string][]string)}
	l.names = slices.Sorted(maps.Keys(l.all))
	for _, name := range o.Ignore {
		if fault := unknownRule(name); fault != "" {
			return nil, UnknownRule(fault)
		}
	}
	for i := range rules {
		l.rule = &rules[i]
		l.rule.check(l)
	}
	l.dockerfiles()
	silence := newSilencer(l)
	l.findings = slices.DeleteFunc(l.findings, func(f Finding) bool {
		return slices.Contains(o.Ignore, f.Rule) || silence.covers(f)
	})
	l.findings = append(l.findings, silence.mistakes()...)
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.CompactFunc(l.findings, func(a, b Finding) bool {
		return a.Position == b.Position && a.Rule == b.Rule && a.Problem == b.Problem
	}), ctx.Err()
}

// find records a finding of the current rule about the value at the path.
func (l *linter) find(problem, fix string, path ...string) {
	l.add(l.Mistake(problem, fix, path...))
}

// add records a finding of the current rule.
func (l *linter) add(e *project.Error) {
	e.Rule = l.rule.Name
	l.findings = append(l.findings, Finding{Error: e, Why: l.rule.Why, Page: page(l.rule.Name), Silence: comment(l.rule.Name)})
}

func page(rule string) string { return "docs/reference/lint.md#" + rule }

func comment(rule string) string { return "# lint: ignore=" + rule }
