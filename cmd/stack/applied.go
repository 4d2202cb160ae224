package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// applied says in one line what has come of a change of a project's files.
type applied struct {
	project string
	lines   *view.Changes

	mu        sync.Mutex
	causes    []caused          // of the wishes since the last line, in their order
	replacing map[string]bool   // new containers, by the names under which they are made, that take the place of others
	replaced  map[string]bool   // the names of these
	done      map[string]string // what was done, by its subject
	undone    map[string]bool   // subjects of which something was given up, in the round that is under way
}

func newApplied(project string, lines *view.Changes) *applied {
	return &applied{
		project: project, lines: lines, replacing: make(map[string]bool), replaced: make(map[string]bool),
		done: make(map[string]string), undone: make(map[string]bool),
	}
}

// tellNews has it said what comes of changes of the project's files.
func (s *stay) tellNews() (*applied, error) {
	style, err := s.style(s.err)
	if err != nil {
		return nil, err
	}
	a := newApplied(s.first.desired.Name, view.NewChanges(s.linesOf(), s.first.project.Dir, s.err, style))
	if s.wisher != nil {
		s.wisher.causes = a.changed
	}
	return a, nil
}

// caused is a wish, and why it is made.
type caused struct {
	cause
	wish *desired.Project // nil: the files were a mistake, which the next wish mends
}

// changed takes in that files have, and what is wished because of that.
func (a *applied) changed(why cause, wish *desired.Project) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.causes = append(a.causes, caused{why, wish})
}

// of takes out why the wish was made, and those before it since the last line. A wish after it may be on its way.
func (a *applied) of(wish *desired.Project) cause {
	n := 1 + slices.IndexFunc(a.causes, func(c caused) bool { return c.wish == wish })
	var out cause
	for _, c := range a.causes[:n] {
		out.paths = append(out.paths, c.paths...)
		if out.since.IsZero() {
			out.since = c.since
		}
	}
	a.causes = slices.Delete(a.causes, 0, n)
	slices.Sort(out.paths)
	out.paths = slices.Compact(out.paths)
	return out
}

// planned learns which containers take the place of others.
func (a *applied) planned(p *plan.Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for made, final := range replacements(p) {
		a.replacing[made], a.replaced[final] = true, true
	}
}

// watch is the sink, which is told nothing of what was given up: that is one line in the end.
func (a *applied) watch(sink execute.Sink) execute.Sink {
	return func(e execute.Event) {
		if errors.Is(e.Err, convergence.ErrGivenUp) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.undone[a.subject(e.Operation)] = true
			return
		}
		if e.Phase == execute.Done {
			a.note(e.Operation)
		}
		sink(e)
	}
}

// verbs are what may be done to something, the greater ones first: what is recreated is started, too.
var verbs = []string{"recreated", "created", "removed", "updated", "restarted", "started", "stopped"}

func (a *applied) note(op plan.Operation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	verb := a.verb(op)
	subject := a.subject(op)
	was, known := a.done[subject]
	if verb != "" && (!known || slices.Index(verbs, verb) < slices.Index(verbs, was)) {
		a.done[subject] = verb
	}
}

// verb is what was done; empty: nothing that is worth a word.
func (a *applied) verb(op plan.Operation) string {
	switch op := op.(type) {
	case *plan.RenameContainer:
		if a.replacing[op.Container] {
			return "recreated"
		}
		return ""
	case *plan.CreateContainer, *plan.CreateNetwork, *plan.CreateVolume:
		return "created"
	case *plan.RemoveContainer:
		if a.replaced[op.Head().Subject.Name] {
			return ""
		}
		return "removed"
	case *plan.RemoveNetwork, *plan.RemoveVolume:
		return "removed"
	case *plan.UpdateContainer, *plan.CopyFiles:
		return "updated"
	case *plan.RestartContainer:
		return "restarted"
	case *plan.StartContainer:
		return "started"
	case *plan.StopContainer:
		return "stopped"
	}
	return ""
}

// subject is the service of a container, and the kind and the name of anything else.
func (a *applied) subject(op plan.Operation) string {
	head := op.Head()
	if head.Service != "" {
		return head.Service
	}
	return strings.ToLower(string(head.Subject.Kind)) + " " + head.Subject.Name
}

// over takes in that a round is. One that is given up is told if something was left undone; one that has failed, by others.
func (a *applied) over(r convergence.Round) {
	a.mu.Lock()
	defer a.mu.Unlock()
	undone := slices.Sorted(maps.Keys(a.undone))
	clear(a.undone)
	switch {
	case r.GivenUp && len(undone) > 0:
		a.lines.About("project "+a.project, "given up for newer files: "+listed(undone))
		return
	case !r.News:
		clear(a.done) // nobody's wish: a container that has gone was made again
		return
	case r.GivenUp || r.Err != nil:
		return
	}
	if why := a.of(r.Wish); len(why.paths) > 0 {
		a.lines.Applied(view.Applied{Project: a.project, Done: a.summary(), Paths: why.paths, Took: time.Since(why.since)})
	}
	clear(a.done)
	clear(a.replacing)
	clear(a.replaced)
}

// summary says what was done, the greater things first.
func (a *applied) summary() string {
	var out []string
	for _, verb := range verbs {
		var these []string
		for subject, how := range a.done {
			if how == verb {
				these = append(these, subject)
			}
		}
		if slices.Sort(these); len(these) > 0 {
			out = append(out, verb+" "+listed(these))
		}
	}
	return strings.Join(out, ", ")
}

// mostListed is how many names a line has.
const mostListed = 4

func listed(names []string) string {
	if more := len(names) - mostListed; more > 0 {
		return strings.Join(names[:mostListed], ", ") + " and " + view.Count(more, "other")
	}
	return strings.Join(names, ", ")
}
